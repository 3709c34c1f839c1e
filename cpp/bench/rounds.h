#pragma once

#include "bench/options.h"
#include "bench/pairing.h"
#include "bench/side_kind.h"
#include "bench/workload.h"

#include <algorithm>
#include <functional>
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
    std::vector<double> pair_ratios;   ///< of all rounds
    uint64_t steps = 0;                ///< timed
    uint64_t graphs_built = 0;         ///< in timed steps
    uint64_t bytes_copied = 0;         ///< in timed steps
    uint64_t bytes_captured = 0;       ///< in one step
    double difference = 0;             ///< what `finish_round` makes of it, the largest of all rounds
};

struct workload_result {
    std::vector<double> baseline_milliseconds;
    std::vector<side_result> sides;
};

/// The sides that are measured in one workload, and against what.
struct contest {
    std::vector<side_kind> kinds;
    side_factory baseline;
    int32_t vocabulary_size = 0;
    /// Called at the end of a round with all sides, may compare them: a value for each. May be null.
    std::function<std::vector<double>(const std::vector<std::unique_ptr<side>> & sides)> finish_round = nullptr;
};

/// Measures sides in one workload, in rounds, each with new contexts: where a context's memory happens to lie changes
/// its speed by some percent, which no number of pairs within one round averages out.
class rounds {
public:
    rounds(contest what, const workload & work, const bench_options & options)
        : contest_(std::move(what)), work_(work), options_(options) {
        for (const side_kind & kind : contest_.kinds) {
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

    int fewest_rounds() const { return options_.quick ? 1 : std::min(options_.rounds, rounds_of_an_interval); }

    void run_round(int number) {
        const double end = now() + options_.seconds / options_.rounds;
        std::vector<std::unique_ptr<side>> sides;
        std::vector<std::unique_ptr<side>> baselines;
        // Made in turn, and from another one on each time.
        const std::vector<side_kind> & kinds = contest_.kinds;
        sides.resize(kinds.size());
        for (size_t i = 0; i < kinds.size(); ++i) {
            const size_t index = (i + static_cast<size_t>(number)) % kinds.size();
            sides[index] = kinds[index].make();
            if (baselines.size() < pairing::baselines_for(kinds.size())) {
                baselines.push_back(contest_.baseline());
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
        for (size_t i = 0; i < kinds.size(); ++i) {
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
        const step_batch batch = make_batch(work_, 0, count, false, contest_.vocabulary_size);
        const double begin = now();
        pairs.for_each([&](side & each) {
            each.prepare(batch);
            each.decode(batch);
        });
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
            make_batch(work_, position_, work_.tokens, work_.generates(), contest_.vocabulary_size);
        pairs.run_cycle(batch, keep);
        position_ += work_.tokens;
    }

    /// Cycles that are not counted: memory is touched, graphs are built. Says how many are to be counted until `end`.
    /// What takes longer than a round may has no other warm-up than `fill`, which a prefill of less is, and a decode
    /// step of as many tokens.
    int warm_up(pairing & pairs, double estimate, double end) {
        const auto timed = [&] {
            const double begin = now();
            step(pairs, false);
            return now() - begin;
        };
        const bool filled_alike = work_.start == work_.tokens;
        if ((work_.generates() && !filled_alike) || now() + estimate < end) {
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
        const std::vector<double> differences =
            contest_.finish_round ? contest_.finish_round(pairs.sides()) : std::vector<double>(result_.sides.size());
        for (size_t i = 0; i < result_.sides.size(); ++i) {
            side_result & result = result_.sides[i];
            const step_times & times = pairs.times()[i];
            result.milliseconds.insert(result.milliseconds.end(), times.milliseconds.begin(), times.milliseconds.end());
            result.pair_ratios.insert(result.pair_ratios.end(), times.ratios.begin(), times.ratios.end());
            result.round_ratios.push_back(quantiles_of(times.ratios).median);
            result.difference = std::max(result.difference, differences[i]);
        }
    }

    contest contest_;
    workload work_;
    bench_options options_;
    workload_result result_;
    int32_t position_ = 0;  ///< tokens that every sequence of every side holds
};

}  // namespace llama_steer::bench
