#pragma once

#include "bench/options.h"
#include "bench/report.h"

#include <ggml-backend.h>

#include <thread>

namespace llama_steer::bench {

/// A report that knows its machine.
inline report start_report(const bench_options & options) {
    report all;
    for (size_t i = 0; i < ggml_backend_dev_count(); ++i) {
        ggml_backend_dev_t device = ggml_backend_dev_get(i);
        all.machine.emplace_back(ggml_backend_dev_name(device), ggml_backend_dev_description(device));
    }
    all.machine.emplace_back("cores", std::to_string(std::thread::hardware_concurrency()));
    all.machine.emplace_back("threads", std::to_string(options.threads));
    all.machine.emplace_back("gpu layers", std::to_string(options.gpu_layers));
    all.machine.emplace_back("clock", options.clock() == step_clock::thread ? "CPU time of the thread" : "wall");
    all.versions.emplace_back("llama.cpp", LLAMA_STEER_LLAMA_COMMIT);
    return all;
}

}  // namespace llama_steer::bench
