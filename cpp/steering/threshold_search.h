#pragma once

#include <cstdint>
#include <vector>

namespace llama_steer {

/// On which side of its threshold a condition holds. Values that equal the threshold lie on neither.
enum class condition_side : uint8_t { above, below, either };

/// A threshold between values of two classes, and how well it tells the positive ones.
struct threshold_choice {
    double threshold = 0;
    bool above = true;     ///< larger values are taken for positive; else smaller ones
    double f1 = 0;         ///< 2 * true positives / (values taken for positive + positive values)
    double precision = 0;  ///< of the values taken for positive, the share that is
    double recall = 0;     ///< of the positive values, the share taken for it
    double margin = 0;     ///< distance of the two values it lies between, by the distance of the extremes: in (0, 1]
};

/// The threshold of the highest F1 of all that lie midway between neighbouring values, exactly; of equal ones that with
/// the largest margin, then the lowest, then above rather than below. Where all values are equal there is none: that
/// value is returned, which takes nothing for positive. Both classes must have values, finite ones. Takes
/// O(n log n) time.
threshold_choice search_threshold(std::vector<double> positive, std::vector<double> negative, condition_side side);

}  // namespace llama_steer
