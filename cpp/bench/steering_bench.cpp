// What steering costs a forward pass on the host, against a context of the same model that is not steered:
//
//   steering_bench [--json] [--quick] [--rounds N] [--pairs N] [--seconds N] [--threads N] [--wall] [--model FILE]
//                  [--only TEXT]
//
// Two models: a shape of 0.5B parameters (24 layers x 1024, Q4_0, random weights, made once and kept in a folder) and
// the trained test-bed. Decode of one token for each of 1, 8, 32 and 128 sequences, and prefill of 512 tokens. As in
// capture_bench, all sides step in turn in one process (see pairing.h), and the ratio is to the baseline's step next to
// it. Two tables for each workload:
//
// - against a plain llama_context, whose graphs have nothing of ours: medians over rounds with new contexts;
// - what lists and strengths cost besides the first list: all sides take turns in one context, so that where memory
//   lies is the same for all, and figures are medians over pairs.
//
// "touched" are the bytes that no implementation can do without: rows read and written, rows measured, directions read
// once. Their share of the weights that a step reads says what to expect where a step is bound by memory. Before
// anything is timed, all ways to add have to give the same logits.

#include "base/error.h"
#include "bench/bench_main.h"
#include "bench/bench_models.h"
#include "bench/options.h"
#include "bench/progress.h"
#include "bench/report.h"
#include "bench/start_report.h"
#include "bench/steering_tables.h"
#include "model/backend.h"

#include <cstdio>
#include <string>
#include <vector>

using namespace llama_steer;
using namespace llama_steer::bench;

namespace {

constexpr char usage[] =
    "steering_bench [--json] [--quick] [--rounds N] [--pairs N] [--seconds N] [--threads N] [--wall] [--model FILE]\n"
    "               [--only TEXT]\n";

/// Attention looks at multiples of 256 tokens: no step of a decode needs another graph than the step before.
std::vector<steering_workload> workloads(bool slow) {
    const workload prefill{"prefill 512", 1, 512, 0, 512};
    const workload one{"decode 1", 1, 1, 32, 256};
    const workload few{"decode 8", 8, 1, 4, 32};
    const workload many{"decode 32", 32, 1, 1, 8};
    const workload most{"decode 128", 128, 1, 1, 2};
    if (slow) {
        return {{one, breadth::all, 60, 15},
                {few, breadth::all, 90, 30},
                {many, breadth::all, 110, 45},
                {most, breadth::some, 100, 80},
                {prefill, breadth::least, 110, 0}};
    }
    return {{one, breadth::all, 8, 3},
            {few, breadth::all, 8, 3},
            {many, breadth::all, 10, 3},
            {most, breadth::all, 16, 6},
            {prefill, breadth::all, 16, 0}};
}

report run(const bench_options & options) {
    progress shown;
    shown.say("loading models");
    report all = start_report(options);
    all.columns = steering_columns();
    steering_tables tables(all, shown, options);
    for (const bench_model & tested : load_models(options)) {
        tables.compare(tested);
        for (const steering_workload & each : workloads(tested.has_goals)) {
            if (options.wants(each.work.name)) {
                tables.measure(tested, each);
            }
        }
    }
    if (all.rows.empty()) {
        throw error(error_code::INVALID_ARGUMENT, "no workload has '" + options.only + "' in its name");
    }
    return all;
}

}  // namespace

int main(int argc, char ** argv) {
    const auto options = [&] {
        bench_options defaults;
        defaults.seconds = 0;  // each workload has its own
        const bench_options read = parse_options(argc, argv, defaults, usage);
        if (read.gpu_layers > 0) {
            throw error(error_code::INVALID_ARGUMENT,
                        "steering_bench measures the host; steering_device_bench devices");
        }
        return read;
    };
    return bench_main(options, run);
}
