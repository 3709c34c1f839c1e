#pragma once

#include "bench/bench_models.h"
#include "bench/progress.h"
#include "bench/report.h"
#include "bench/rounds.h"
#include "bench/steering_agreement.h"
#include "bench/steering_cases.h"

#include <cmath>
#include <cstdio>
#include <string>
#include <utility>
#include <vector>

namespace llama_steer::bench {

/// One workload of the steering benchmarks and what it may take.
struct steering_workload {
    workload work;
    breadth wanted;
    double seconds;         ///< against a plain context
    double shared_seconds;  ///< against one list, in one context; 0: not measured
};

/// The columns that steering has.
inline std::vector<report_column> steering_columns() {
    return {{"touched KiB", "bytesTouched", 1024}, {"of weights %", "percentOfWeights", 1}};
}

/// Measures steering workloads and adds rows and goals to a report.
class steering_tables {
public:
    steering_tables(report & target, progress & shown, const bench_options & options)
        : report_(target), shown_(shown), options_(options) {}

    void measure(const bench_model & tested, const steering_workload & each) {
        const workload & work = each.work;
        const context_options how = context_options_of(work, options_.threads);
        const steering_cases cases(tested.source, work, how, options_.gpu_layers == 0);
        const side_factory plain = [source = tested.source, how]() -> std::unique_ptr<side> {
            return std::make_unique<plain_side>(source, how);
        };
        bench_options budget = options_;
        budget.seconds = options_.seconds > 0 ? options_.seconds : each.seconds;
        const breadth wanted = options_.quick ? breadth::least : each.wanted;
        run(tested, work, budget, {plain, cases.against_plain(wanted)}, "against a plain context");
        if (each.shared_seconds <= 0) {
            return;
        }
        // In one context nothing is gained by many rounds.
        budget.seconds = options_.seconds > 0 ? options_.seconds / 3 : each.shared_seconds;
        budget.rounds = 1;
        run(tested, work, budget, cases.against_one_list(), "against one list");
    }

    /// Compares the logits of all ways to add, and makes it a goal that they are the same.
    void compare(const bench_model & tested) {
        const logits_difference found = compare_logits(tested.source, options_);
        char text[200];
        std::snprintf(text, sizeof text,
                      ": adding changes logits by up to %.3g of the largest; from a control vector's ours differ by "
                      "%.3g, from editing by %.3g",
                      found.unsteered, found.control_vector, found.editing);
        report_.notes.push_back(tested.name + text);
        if (options_.gpu_layers == 0) {
            const double worst = std::max(found.control_vector, found.editing);
            report_.goals.push_back(
                {tested.name + ": largest difference of logits", found.unsteered > 1e-3 ? worst : 1, 0});
        }
    }

private:
    /// Further off than this, the control says that the other ratios tell little.
    static constexpr double control_tolerance = 0.003;

    void run(const bench_model & tested, const workload & work, const bench_options & budget,
             const steering_cases::one_context & what, const std::string & against) {
        contest between;
        for (const steering_case & each : what.cases) {
            between.kinds.push_back(each.kind);
        }
        between.baseline = what.baseline;
        between.vocabulary_size = tested.source->info().vocabulary_size;
        rounds measured(std::move(between), work, budget);
        const std::string name = tested.name + ", " + work.name + " " + against;
        measured.run([&](int round) { shown_.say(name + ": round " + std::to_string(round + 1)); });
        add(tested, work.name + " " + against, work, measured.result(), what.cases, budget.rounds == 1);
    }

    void add(const bench_model & tested, const std::string & title, const workload & work,
             const workload_result & result, const std::vector<steering_case> & cases, bool by_pairs) {
        const auto row = [&](const std::string & name, const std::vector<double> & times) -> report_row & {
            report_row made;
            made.model = tested.name;
            made.workload = title;
            made.side = name;
            made.milliseconds = quantiles_of(times).median;
            made.ratio = {1, 1, 1};
            made.tokens_per_second = work.tokens_per_step() / made.milliseconds * 1000;
            made.more = {0, 0};
            report_.rows.push_back(made);
            return report_.rows.back();
        };
        row("baseline", result.baseline_milliseconds);
        for (size_t i = 0; i < cases.size(); ++i) {
            const side_result & side = result.sides[i];
            const std::vector<double> & ratios = by_pairs ? side.pair_ratios : side.round_ratios;
            report_row & made = row(side.name, side.milliseconds);
            made.ratio = quantiles_of(ratios);
            made.graphs_built = side.graphs_built;
            made.more = {cases[i].bytes_touched,
                         100 * cases[i].bytes_touched / static_cast<double>(tested.weight_bytes)};
            if (side.role == side_role::control && std::abs(made.ratio.median - 1) > control_tolerance) {
                report_.notes.push_back(tested.name + ", " + title + ": the control is off by more than 0.3 %");
            }
            if (tested.has_goals && cases[i].limit > 0) {
                report_.goals.push_back(
                    {tested.name + ", " + title + ": " + side.name, made.ratio.median, cases[i].limit});
            }
        }
        const size_t values = (by_pairs ? result.sides.front().pair_ratios : result.sides.front().round_ratios).size();
        if (values < rounds_of_an_interval) {
            report_.notes.push_back(tested.name + ", " + title + ": intervals are ranges, of " +
                                    std::to_string(values));
        }
    }

    report & report_;
    progress & shown_;
    bench_options options_;
};

}  // namespace llama_steer::bench
