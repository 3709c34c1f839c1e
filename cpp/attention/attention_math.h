#pragma once

#include <cstdint>
#include <vector>

namespace llama_steer {

/// How many keys are weighed at a time: their scores stay in the first cache.
constexpr int tile_cells = 64;

/// Widths of rows are padded with zeros to a multiple of this.
constexpr int64_t row_padding = 16;

/// The arithmetic of attention for one kind of processor, on float32 rows. What becomes of a query does not depend on
/// how many others come with it: every sum is taken in the same order.
struct attention_math {
    const char * name;

    /// scores[q * tile_cells + c] = queries[q] . keys[c] for c below `cells` (and what lies there up to the next
    /// multiple of 4, which must be readable). `width` is a multiple of row_padding; strides count floats.
    void (*score)(const float * queries, int64_t query_stride, int count, const float * keys, int64_t key_stride,
                  int cells, int64_t width, float * scores);

    /// The largest of tile_cells numbers.
    float (*largest)(const float * scores);

    /// scores[c] = e^(scores[c] - largest) of tile_cells numbers of which none is above `largest`, to 3e-7 of each;
    /// their sum.
    float (*exponentiate)(float * scores, float largest);

    /// sums[q] += weights[q * tile_cells + c] * values[c], one cell after the other; `width` as above.
    void (*mix)(const float * weights, int count, const float * values, int64_t value_stride, int cells, int64_t width,
                float * sums, int64_t sum_stride);

    /// row *= by; `width` as above.
    void (*scale)(float * row, float by, int64_t width);
};

/// What this processor can run, the fastest first.
const std::vector<attention_math> & supported_attention_math();

}  // namespace llama_steer
