// What the benchmarks of the solver share: cases that are timed in turn, and what is made of the times.
#pragma once

#include <algorithm>
#include <chrono>
#include <cstddef>
#include <functional>
#include <random>
#include <string>
#include <vector>

namespace llama_steer::bench {

struct bench_case {
    std::string name;
    double flops;  ///< 0: no floor
    std::function<void()> prepare, run;
    std::vector<double> seconds = {};
};

inline double time_once(const bench_case & c) {
    if (c.prepare) c.prepare();
    const auto start = std::chrono::steady_clock::now();
    c.run();
    return std::chrono::duration<double>(std::chrono::steady_clock::now() - start).count();
}

inline double quantile(std::vector<double> values, double q) {
    std::sort(values.begin(), values.end());
    const double at = q * double(values.size() - 1);
    const auto low = static_cast<std::size_t>(at);
    const std::size_t high = std::min(low + 1, values.size() - 1);
    return values[low] + (at - double(low)) * (values[high] - values[low]);
}

inline std::vector<double> random_values(std::size_t count, unsigned seed) {
    std::mt19937 bits(seed);
    std::vector<double> values(count);
    for (auto & v : values) v = double(bits()) / 2147483648.0 - 1;
    return values;
}

}  // namespace llama_steer::bench
