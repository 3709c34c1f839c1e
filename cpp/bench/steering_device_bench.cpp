// What plain sums cost a forward pass whose layers all lie on a device, against a context that is not steered:
//
//   steering_device_bench [--json] [--quick] [--rounds N] [--pairs N] [--seconds N] [--device gpu|cpu]
//                         [--shape tiny|0.5b|1.5b|4b|8b,...] [--type q4_0|f16,...] [--only TEXT]
//
// Models of random weights, made once and kept in a folder: qwen3 shapes of 1.5, 4 and 8 billion parameters, in Q4_0
// and F16. Decode of one token for each of 1, 32 and 256 sequences, with what the device does by default (CUDA graphs,
// fused kernels). The tables are those of steering_bench; times are by the wall clock. `--device cpu` runs the same on
// the host, to see that it runs.
//
// Whether sums are fused with the residual's ADD cannot be seen from outside of a device. What can be: in how many
// pieces the scheduler cuts the graphs of each case (a goal: no more than without steering), and the time that a case
// takes besides the idle one, per layer (a note): an ADD that is not fused is a kernel of its own, a microsecond or
// more. With GGML_CUDA_DISABLE_FUSION=1 in the environment the same run says what fusing is worth; there the baseline
// is slower too. device_graph_test holds the conditions of CUDA's fusion against the graphs that a device gets.

#include "base/error.h"
#include "bench/bench_main.h"
#include "bench/bench_models.h"
#include "bench/graph_pieces.h"
#include "bench/options.h"
#include "bench/progress.h"
#include "bench/report.h"
#include "bench/start_report.h"
#include "bench/steering_tables.h"
#include "model/backend.h"

#include <ggml-backend.h>

#include <algorithm>
#include <cstdio>
#include <sstream>
#include <string>
#include <vector>

using namespace llama_steer;
using namespace llama_steer::bench;

namespace {

constexpr char usage[] =
    "steering_device_bench [--json] [--quick] [--rounds N] [--pairs N] [--seconds N] [--device gpu|cpu]\n"
    "                      [--shape tiny|0.5b|1.5b|4b|8b,...] [--type q4_0|f16,...] [--only TEXT]\n";

struct device_options {
    std::string device = "gpu";
    std::string shapes = "1.5b,4b,8b";
    std::string types = "q4_0,f16";
};

std::vector<std::string> parts_of(const std::string & text) {
    std::vector<std::string> parts;
    std::istringstream stream(text);
    for (std::string part; std::getline(stream, part, ',');) {
        parts.push_back(part);
    }
    return parts;
}

/// Attention looks at multiples of 256 tokens: no step of a decode needs another graph than the step before.
std::vector<steering_workload> workloads() {
    return {{{"decode 1", 1, 1, 32, 256}, breadth::all, 20, 6},
            {{"decode 32", 32, 1, 1, 8}, breadth::all, 20, 8},
            {{"decode 256", 256, 1, 1, 2}, breadth::all, 30, 10}};
}

/// In how many pieces the scheduler cuts the graph of a step, unsteered and with sums at all layers.
void add_pieces(report & all, const bench_model & tested, const bench_options & options) {
    const workload work{"", 4, 1, 1, 8};
    const context_options how = context_options_of(work, options.threads);
    const steering_lists lists(tested.source->info());
    const step_batch batch = make_batch(work, 0, 1, true, tested.source->info().vocabulary_size);

    plain_side plain(tested.source, how);
    plain.decode(batch);
    const auto context = std::make_shared<steered_context>(tested.source, how);
    steered_side steered(context, lists.add_distinct(lists.all_layers())(work.sequences));
    steered.prepare(batch);
    steered.decode(batch);
    all.goals.push_back({tested.name + ": pieces of the graph, 4 distinct lists",
                         static_cast<double>(graph_pieces(*context->inner().handle())),
                         static_cast<double>(graph_pieces(*plain.handle()))});
}

/// What sums at all layers take besides idle instrumentation, for each layer, in rows from `first` on.
void add_layer_times(report & all, size_t first, int layers) {
    const auto find = [&](const report_row & like, const std::string & side) {
        return std::find_if(all.rows.begin(), all.rows.end(), [&](const report_row & each) {
            return each.model == like.model && each.workload == like.workload && each.side == side;
        });
    };
    for (size_t i = first; i < all.rows.size(); ++i) {
        const report_row & idle = all.rows[i];
        const auto add = find(idle, "add at all layers");
        if (idle.side == "idle" && add != all.rows.end()) {
            char text[64];
            std::snprintf(text, sizeof text, ": %.2f us for the sum of a layer",
                          (add->ratio.median - idle.ratio.median) * idle.milliseconds * 1000 / layers);
            all.notes.push_back(idle.model + ", " + idle.workload + text);
        }
    }
}

report run(bench_options options, const device_options & where) {
    const bool on_host = where.device == "cpu";
    if (!on_host && where.device != "gpu") {
        throw error(error_code::INVALID_ARGUMENT, "--device is gpu or cpu, not '" + where.device + "'");
    }
    if (!on_host && ggml_backend_dev_by_type(GGML_BACKEND_DEVICE_TYPE_GPU) == nullptr) {
        throw error(error_code::INVALID_ARGUMENT,
                    "no device: this build has no backend for one, or the machine has none. Build with "
                    "-DLLAMA_STEER_CUDA=ON (or METAL, VULKAN), or see that it runs with --device cpu --shape tiny");
    }
    options.gpu_layers = on_host ? 0 : 999;
    progress shown;
    report all = start_report(options);
    all.columns = steering_columns();
    steering_tables tables(all, shown, options);
    for (const std::string & shape : parts_of(where.shapes)) {
        for (const std::string & type : parts_of(where.types)) {
            const std::string name = shape + "-like, " + type;
            shown.say("making or loading " + name);
            const bench_model tested =
                load_bench_model(made_model(shape, "qwen3", synthetic::parse_weight_type(type)), name, true, options);
            tables.compare(tested);
            add_pieces(all, tested, options);
            const size_t first_row = all.rows.size();
            for (const steering_workload & each : workloads()) {
                if (options.wants(each.work.name)) {
                    tables.measure(tested, each);
                }
            }
            add_layer_times(all, first_row, tested.source->info().n_layers);
        }
    }
    return all;
}

}  // namespace

int main(int argc, char ** argv) {
    device_options where;
    const auto options = [&] {
        bench_options defaults;
        defaults.seconds = 0;  // each workload has its own
        return parse_options(argc, argv, defaults, usage,
                             {{"--device", &where.device}, {"--shape", &where.shapes}, {"--type", &where.types}});
    };
    return bench_main(options, [&](const bench_options & read) { return run(read, where); });
}
