// What capturing the residual stream costs a forward pass, against a context of the same model that captures nothing:
//
//   capture_bench [--json] [--quick] [--rounds N] [--pairs N] [--seconds N] [--threads N] [--wall]
//                 [--gpu-layers N] [--model FILE] [--only TEXT]
//
// Two models: a shape of 0.5B parameters (24 layers x 1024, Q4_0, random weights, made once and kept in a folder) and
// the trained test-bed. Prefill of 512 tokens, and decode of one token for each of 1, 8 and 32 sequences. In each, all
// sides step in turn in one process (see pairing.h): the baseline, ours, a copy under cb_eval and llama.cpp's own
// extraction of layer inputs. Figures are medians of the ratios to the baseline's step next to it, over rounds with new
// contexts. Captured bytes, layers x rows x width x 4, are the floor that no side can do without. The rows of all sides
// are compared with one another in every round.
//
// One thread by default: two spin for each other at every operation, and on a shared machine that drowns what is
// measured. One thread's work is timed by its CPU time, which other processes do not lengthen; --wall, several threads
// and layers on a device are timed by the wall clock.

#include "base/error.h"
#include "bench/agreement.h"
#include "bench/bench_main.h"
#include "bench/bench_models.h"
#include "bench/capture_sides.h"
#include "bench/options.h"
#include "bench/progress.h"
#include "bench/report.h"
#include "bench/rounds.h"
#include "bench/start_report.h"
#include "model/backend.h"

#include <cmath>
#include <cstdio>
#include <memory>
#include <string>
#include <utility>
#include <vector>

using namespace llama_steer;
using namespace llama_steer::bench;

namespace {

constexpr double ratio_limit = 1.02;

/// Further off than this, the control says that the other ratios tell little.
constexpr double control_tolerance = 0.01;

void add_rows(report & all, const std::string & model_name, const workload & work, const workload_result & result) {
    const auto add = [&](const std::string & name, const std::vector<double> & milliseconds, const quantiles & ratio) {
        report_row row;
        row.model = model_name;
        row.workload = work.name;
        row.side = name;
        row.milliseconds = quantiles_of(milliseconds).median;
        row.ratio = ratio;
        row.tokens_per_second = work.tokens_per_step() / row.milliseconds * 1000;
        all.rows.push_back(row);
    };
    const auto count = static_cast<int>(result.sides.front().round_ratios.size());
    if (count < rounds_of_an_interval) {
        all.notes.push_back(model_name + ", " + work.name +
                            ": intervals are ranges, of rounds: " + std::to_string(count));
    }
    add("baseline", result.baseline_milliseconds, {1, 1, 1});
    all.rows.back().more = {0, 0};
    for (const side_result & side : result.sides) {
        const quantiles ratio = quantiles_of(side.round_ratios);
        if (side.role == side_role::control && std::abs(ratio.median - 1) > control_tolerance) {
            all.notes.push_back(model_name + ", " + work.name +
                                ": the control is off by more than 1 %. Run it again on a quieter machine");
        }
        add(side.name, side.milliseconds, ratio);
        all.rows.back().more = {static_cast<double>(side.bytes_captured),
                                static_cast<double>(side.bytes_copied / side.steps)};
        all.rows.back().graphs_built = side.graphs_built;
    }
}

void add_goals(report & all, const bench_model & tested, const workload & work, const workload_result & result) {
    const std::string where = tested.name + ", " + work.name;
    for (const side_result & side : result.sides) {
        if (side.role == side_role::in_place && tested.has_goals) {
            all.goals.push_back({where + ": time over baseline", quantiles_of(side.round_ratios).median, ratio_limit});
        }
    }
}

/// Goals over all workloads. On a device the rows have to leave it, and other kernels round otherwise.
void add_common_goals(report & all, const std::vector<std::pair<workload, workload_result>> & results, bool on_host) {
    double copied = 0;
    double built = 0;
    double difference = 0;
    for (const auto & [work, result] : results) {
        for (const side_result & side : result.sides) {
            copied += side.role == side_role::in_place ? static_cast<double>(side.bytes_copied) : 0;
            built += side.role == side_role::in_place && work.generates() ? static_cast<double>(side.graphs_built) : 0;
            difference = std::max(difference, side.difference);
        }
    }
    all.goals.push_back({"graphs built in timed decode steps, ours, all layers x all rows", built, 0});
    if (on_host) {
        all.goals.push_back({"bytes copied, ours, all layers x all rows", copied, 0});
        all.goals.push_back({"largest difference between the rows of two sides", difference, 0});
    } else {
        char text[96];
        std::snprintf(text, sizeof text,
                      "Largest difference between the rows of two sides: %.3g of the largest element", difference);
        all.notes.emplace_back(text);
    }
}

constexpr char usage[] =
    "capture_bench [--json] [--quick] [--rounds N] [--pairs N] [--seconds N] [--threads N] [--wall]\n"
    "              [--gpu-layers N] [--model FILE] [--only TEXT]\n";

/// The sides of one workload, whose captured rows are compared at the end of every round.
contest contest_of(const std::shared_ptr<const model> & source, const workload & work, const bench_options & options,
                   bool layer_inputs) {
    const context_options how = context_options_of(work, options.threads);
    contest what;
    what.kinds = capture_sides(source, how, how.batch_size, layer_inputs, options.quick);
    what.baseline = [=]() -> std::unique_ptr<side> { return std::make_unique<plain_side>(source, how); };
    what.vocabulary_size = source->info().vocabulary_size;
    size_t reference = 0;
    while (what.kinds[reference].role != side_role::reference) {
        ++reference;
    }
    what.finish_round = [=](const std::vector<std::unique_ptr<side>> & sides) {
        return largest_differences(sides, reference, source->info().n_layers, source->info().hidden_size);
    };
    return what;
}

report run(const bench_options & options) {
    progress shown;
    shown.say("loading models");
    report all = start_report(options);
    all.columns = {{"captured KiB", "bytesCaptured", 1024}, {"copied KiB", "bytesCopied", 1024}};
    std::vector<std::pair<workload, workload_result>> results;
    for (const bench_model & tested : load_models(options)) {
        const bool layer_inputs = layer_input_side::is_offered(tested.source);
        if (!layer_inputs) {
            all.notes.push_back(tested.name + ": layer inputs are not offered by this architecture");
        }
        for (const workload & work : capture_workloads()) {
            if (!options.wants(work.name)) {
                continue;
            }
            rounds measured(contest_of(tested.source, work, options, layer_inputs), work, options);
            measured.run([&](int round) {
                shown.say(tested.name + ", " + work.name + ": round " + std::to_string(round + 1) + " of at most " +
                          std::to_string(options.rounds));
            });
            add_rows(all, tested.name, work, measured.result());
            add_goals(all, tested, work, measured.result());
            results.emplace_back(work, measured.result());
        }
    }
    if (results.empty()) {
        throw error(error_code::INVALID_ARGUMENT, "no workload has '" + options.only + "' in its name");
    }
    add_common_goals(all, results, options.gpu_layers == 0);
    return all;
}

}  // namespace

int main(int argc, char ** argv) {
    return bench_main([&] { return parse_options(argc, argv, {}, usage); }, run);
}
