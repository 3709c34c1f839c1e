#pragma once

#include "bench/agreement.h"
#include "bench/capture_sides.h"
#include "bench/options.h"
#include "bench/pairing.h"
#include "bench/workload.h"

#include <algorithm>
#include <memory>
#include <string>
#include <vector>

namespace llama_steer::bench {

/// What all rounds of one workload brought, of one side.
struct side_result {
    std::string name;
    side_role role = side_role::other;
    std::vector<double> milliseconds;
    std::vector<double> round_ratios;  ///< of each round the median ratio
    uint64_t steps = 0;                ///< timed
    uint64_t graphs_built = 0;         ///< in timed steps
    uint64_t bytes_copied = 0;         ///< in timed steps
    uint64_t bytes_captured = 0;       ///< in one step
    double difference = 0;             ///< of its rows to the reference's, see largest_difference
};

struct workload_result {
    std::vector<double> baseline_milliseconds;
    std::vector<side_result> sides;
};

/// Measures the sides in one workload, in rounds, each with new contexts: where a context's memory happens to lie
/// changes its speed by some percent, which no number of pairs within one round averages out.
class capture_rounds {
public:
    capture_rounds(std::shared_ptr<const model> source, const workload & work, const bench_options & options,
                   bool layer_inputs)
        : source_(std::move(source)), work_(work), options_(options) {
        context_options_.max_sequences = work.sequences;
        context_options_.context_size = work.end;
        context_options_.batch_size = std::max(work.tokens_per_step(), work.sequences * work.start);
        context_options_.threads = options.threads;
        kinds_ = capture_sides(source_, context_options_, context_options_.batch_size, layer_inputs, options.quick);
        for (const side_kind & kind : kinds_) {
            result_.sides.push_back({});
            result_.sides.back().name = kind.name;
            result_.sides.back().role = kind.role;
        }
    }

    const workload_result & result() const { return result_; }

    /// Runs the rounds, as many as there is time for; `before`: called with the number of each.
    template <typename action>
    void run(action && before) {
        const auto begin = now();
        for (int round = 0; round < options_.rounds; ++round) {
            before(round);
            run_round(round);
            const double each = (now() - begin) / (round + 1);
            if (round + 1 >= fewest_rounds() && each * (round + 2) > options_.seconds) {
                break;
            }
        }
    }

private:
    static double now() { return milliseconds(step_clock::wall) / 1000; }

    int fewest_rounds() const { return options_.quick ? 1 : rounds_of_an_interval; }

    void run_round(int number) {
        const double end = now() + options_.seconds / options_.rounds;
        std::vector<std::unique_ptr<side>> sides;
        std::vector<std::unique_ptr<side>> baselines;
        // Made in turn, and from another one on each time.
        sides.resize(kinds_.size());
        for (size_t i = 0; i < kinds_.size(); ++i) {
            const size_t index = (i + static_cast<size_t>(number)) % kinds_.size();
            sides[index] = kinds_[index].make();
            if (baselines.size() < pairing::baselines_for(kinds_.size())) {
                baselines.push_back(std::make_unique<plain_side>(source_, context_options_));
            }
        }
        pairing pairs(std::move(sides), std::move(baselines), options_.clock(), static_cast<uint64_t>(number));
        const double estimate = fill(pairs);
        const int cycles = warm_up(pairs, estimate, end);

        std::vector<uint64_t> reused_before;
        std::vector<uint64_t> copied_before;
        for (const auto & each : pairs.sides()) {
            reused_before.push_back(each->graphs_reused());
            copied_before.push_back(each->bytes_copied());
        }
        for (int cycle = 0; cycle < cycles; ++cycle) {
            step(pairs, true);
        }
        for (size_t i = 0; i < kinds_.size(); ++i) {
            const side & each = *pairs.sides()[i];
            side_result & result = result_.sides[i];
            result.steps += static_cast<uint64_t>(cycles);
            result.graphs_built += static_cast<uint64_t>(cycles) - (each.graphs_reused() - reused_before[i]);
            result.bytes_copied += each.bytes_copied() - copied_before[i];
            result.bytes_captured = each.bytes_captured();
        }
        collect(pairs);
    }

    /// Gives every sequence its first tokens. Says how many seconds a cycle may take, from what this took.
    double fill(pairing & pairs) {
        // A prompt before a prefill is forgotten again: it only reads the weights once.
        const int32_t count = std::max(work_.start, std::min(work_.tokens, 16));
        const step_batch batch = make_batch(work_, 0, count, false, source_->info().vocabulary_size);
        const double begin = now();
        pairs.for_each([&](side & each) { each.decode(batch); });
        position_ = count;
        return (now() - begin) * work_.tokens / count;
    }

    /// One cycle; what is full is cut back before it, outside of what is timed.
    void step(pairing & pairs, bool keep) {
        if (position_ + work_.tokens > work_.end) {
            position_ = work_.start;
            pairs.for_each([&](side & each) {
                for (int32_t sequence = 0; sequence < work_.sequences; ++sequence) {
                    each.cut(sequence, position_);
                }
            });
        }
        const step_batch batch =
            make_batch(work_, position_, work_.tokens, work_.generates(), source_->info().vocabulary_size);
        pairs.run_cycle(batch, keep);
        position_ += work_.tokens;
    }

    /// Cycles that are not counted: memory is touched, graphs are built. Says how many are to be counted until `end`.
    /// A prefill that takes longer than a round may has no other warm-up than `fill`.
    int warm_up(pairing & pairs, double estimate, double end) {
        const auto timed = [&] {
            const double begin = now();
            step(pairs, false);
            return now() - begin;
        };
        if (work_.generates() || now() + estimate < end) {
            estimate = timed();
            for (int cycle = 0; cycle < 4 && now() + 8 * estimate < end; ++cycle) {
                estimate = timed();
            }
        }
        return static_cast<int>(std::clamp((end - now()) / estimate, 1.0, static_cast<double>(options_.pairs)));
    }

    void collect(const pairing & pairs) {
        const auto & baseline = pairs.baseline_times();
        result_.baseline_milliseconds.insert(result_.baseline_milliseconds.end(), baseline.begin(), baseline.end());
        const auto reference =
            static_cast<size_t>(std::find_if(kinds_.begin(), kinds_.end(),
                                             [](const auto & kind) { return kind.role == side_role::reference; }) -
                                kinds_.begin());
        const model_info & info = source_->info();
        for (size_t i = 0; i < kinds_.size(); ++i) {
            side_result & result = result_.sides[i];
            const step_times & times = pairs.times()[i];
            result.milliseconds.insert(result.milliseconds.end(), times.milliseconds.begin(), times.milliseconds.end());
            result.round_ratios.push_back(quantiles_of(times.ratios).median);
            result.difference = std::max(
                result.difference,
                largest_difference(*pairs.sides()[reference], *pairs.sides()[i], info.n_layers, info.hidden_size));
        }
    }

    std::shared_ptr<const model> source_;
    workload work_;
    bench_options options_;
    context_options context_options_;
    std::vector<side_kind> kinds_;
    workload_result result_;
    int32_t position_ = 0;  ///< tokens that every sequence of every side holds
};

}  // namespace llama_steer::bench
