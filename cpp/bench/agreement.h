#pragma once

#include "base/half.h"
#include "bench/side.h"

#include <algorithm>
#include <cmath>
#include <memory>
#include <vector>

#include <ggml.h>

namespace llama_steer::bench {

/// The largest difference between the rows that `other` captured in its last step and those of `reference`, whose rows
/// are float32 and include the other's at their end, over the largest element of their layer: 0 where all bits are the
/// same, 1 where the reference has fewer rows. Half precision is held against the reference rounded to it.
inline double largest_difference(const side & reference, const side & other, int32_t layers, int64_t width) {
    double worst = 0;
    for (int32_t layer = 0; layer < layers; ++layer) {
        const captured_rows theirs = reference.rows(layer);
        const captured_rows ours = other.rows(layer);
        if (ours.data == nullptr) {
            continue;
        }
        const int64_t count = ours.count;
        if (count == 0 || count > theirs.count) {
            return 1;
        }
        const auto elements = static_cast<size_t>(count * width);
        const float * tail = static_cast<const float *>(theirs.data) + (theirs.count - count) * width;
        std::vector<float> expected(tail, tail + elements);
        std::vector<float> got(elements);
        if (ours.half) {
            std::vector<ggml_fp16_t> rounded(elements);
            ggml_fp32_to_fp16_row(expected.data(), rounded.data(), static_cast<int64_t>(elements));
            to_float(rounded.data(), elements, expected.data());
            to_float(static_cast<const uint16_t *>(ours.data), elements, got.data());
        } else {
            const auto * rows = static_cast<const float *>(ours.data);
            std::copy(rows, rows + elements, got.begin());
        }
        double largest = 0;
        double difference = 0;
        for (size_t i = 0; i < elements; ++i) {
            largest = std::max(largest, std::abs(static_cast<double>(expected[i])));
            difference = std::max(difference, std::abs(static_cast<double>(expected[i]) - static_cast<double>(got[i])));
        }
        worst = std::max(worst, difference / std::max(largest, 1e-30));
    }
    return worst;
}

/// `largest_difference` of every side to one of them.
inline std::vector<double> largest_differences(const std::vector<std::unique_ptr<side>> & sides, size_t reference,
                                               int32_t layers, int64_t width) {
    std::vector<double> differences;
    for (const std::unique_ptr<side> & each : sides) {
        differences.push_back(largest_difference(*sides[reference], *each, layers, width));
    }
    return differences;
}

}  // namespace llama_steer::bench
