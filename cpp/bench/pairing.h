#pragma once

#include "bench/quantiles.h"
#include "bench/side.h"
#include "bench/step_clock.h"

#include <algorithm>
#include <memory>
#include <numeric>
#include <random>
#include <vector>

namespace llama_steer::bench {

/// What the timed steps of one round took, of one side.
struct step_times {
    std::vector<double> milliseconds;
    std::vector<double> ratios;  ///< to the baseline's step next to it
};

/// Times sides against baselines, step by step in turn, so that a machine that slows down slows all of them.
///
/// One cycle steps every side once, in random order, with one step of a baseline between each two sides: side,
/// baseline, side; side, baseline, side; ... So each side is next to a baseline, which runs before it in half of the
/// cycles. Every context steps once in a cycle, and all are equally full; which baseline a side meets changes too.
class pairing {
public:
    pairing(std::vector<std::unique_ptr<side>> sides, std::vector<std::unique_ptr<side>> baselines, step_clock clock,
            uint64_t seed)
        : clock_(clock),
          sides_(std::move(sides)),
          baselines_(std::move(baselines)),
          order_(sides_.size()),
          random_(seed),
          times_(sides_.size()) {
        std::iota(order_.begin(), order_.end(), size_t{0});
    }

    /// Baselines that so many sides need.
    static size_t baselines_for(size_t sides) { return (sides + 1) / 2; }

    const std::vector<std::unique_ptr<side>> & sides() const { return sides_; }
    const std::vector<step_times> & times() const { return times_; }
    /// Milliseconds of the baselines' timed steps.
    const std::vector<double> & baseline_times() const { return baseline_times_; }

    template <typename action>
    void for_each(action && act) {
        for (const auto * group : {&sides_, &baselines_}) {
            for (const auto & each : *group) {
                act(*each);
            }
        }
    }

    /// One cycle; `keep`: whether its times count.
    void run_cycle(const step_batch & batch, bool keep) {
        std::shuffle(order_.begin(), order_.end(), random_);
        for (size_t i = 0; i < order_.size(); i += 2) {
            const double first = time(*sides_[order_[i]], batch);
            const double baseline = time(*baselines_[i / 2], batch);
            if (keep) {
                baseline_times_.push_back(baseline);
                record(order_[i], first, baseline);
            }
            if (i + 1 < order_.size()) {
                const double second = time(*sides_[order_[i + 1]], batch);
                if (keep) {
                    record(order_[i + 1], second, baseline);
                }
            }
        }
    }

private:
    double time(side & each, const step_batch & batch) const {
        each.prepare(batch);
        const double begin = milliseconds(clock_);
        each.decode(batch);
        return milliseconds(clock_) - begin;
    }

    void record(size_t index, double own, double baseline) {
        times_[index].milliseconds.push_back(own);
        times_[index].ratios.push_back(own / baseline);
    }

    step_clock clock_;
    std::vector<std::unique_ptr<side>> sides_;
    std::vector<std::unique_ptr<side>> baselines_;
    std::vector<size_t> order_;
    std::mt19937_64 random_;
    std::vector<step_times> times_;
    std::vector<double> baseline_times_;
};

}  // namespace llama_steer::bench
