#pragma once

#include <algorithm>
#include <cmath>
#include <vector>

namespace llama_steer::bench {

/// A median and its 95 % interval from order statistics: no assumption about how the values are distributed. The same
/// statistics as `quantiles` of bench/support/paired.ts.
struct quantiles {
    double median = 0;
    double low = 0;
    double high = 0;
};

/// With fewer values the interval is their range, which holds the median less often.
constexpr int rounds_of_an_interval = 6;

/// `values`: at least one.
inline quantiles quantiles_of(std::vector<double> values) {
    std::sort(values.begin(), values.end());
    const auto count = static_cast<double>(values.size());
    const auto at = [&](double rank) {
        return values[static_cast<size_t>(std::clamp(std::round(rank), 0.0, count - 1))];
    };
    const double middle = (count - 1) / 2;
    const double reach = 0.98 * std::sqrt(count);
    return {(at(std::floor(middle)) + at(std::ceil(middle))) / 2, at(std::floor(middle - reach)),
            at(std::ceil(middle + reach))};
}

}  // namespace llama_steer::bench
