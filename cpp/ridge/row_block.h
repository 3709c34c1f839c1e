// Rows of activations as captured: float32, or float16 as its bits.
#pragma once

#include <cstddef>

namespace llama_steer::ridge {

enum class row_type { f32, f16 };

/// rows x cols elements; element (i, j) lies at data[i * row_stride + j], strides counted in elements. Owns nothing.
struct row_block {
    const void * data = nullptr;  ///< const float * or const std::uint16_t *, aligned for it
    row_type type = row_type::f32;
    std::size_t rows = 0, cols = 0, row_stride = 0;
};

/// Row `row` in float64 [cols]; every element is represented exactly.
void read_row(const row_block & block, std::size_t row, double * out);

/// Throws NOT_FINITE naming the element: "rows[row 3, column 17] is NaN".
void check_row(const row_block & block, std::size_t row);

/// Throws INVALID_ARGUMENT when there are rows but no data, or a stride shorter than a row.
void check_block(const row_block & block);

}  // namespace llama_steer::ridge
