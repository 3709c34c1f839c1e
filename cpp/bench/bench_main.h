#pragma once

#include "base/error.h"
#include "bench/report.h"
#include "model/backend.h"

#include <cstdio>
#include <exception>

namespace llama_steer::bench {

/// A benchmark's main: reads the command line, loads the backends, prints what was measured, or what went wrong and
/// returns 1. `options`: a function that returns the bench_options of the command line; `run`: of these, a report.
template <typename reading, typename running>
int bench_main(reading options, running run) {
    try {
        const auto read = options();
        init_backend("");
        const report all = run(read);
        read.json ? print_json(all) : print_tables(all);
        return 0;
    } catch (const error & failure) {
        std::fprintf(stderr, "%s: %s\n", error_code_name(failure.code()), failure.what());
    } catch (const std::exception & failure) {
        std::fprintf(stderr, "%s\n", failure.what());
    }
    return 1;
}

}  // namespace llama_steer::bench
