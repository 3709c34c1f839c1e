// Rows of activations as captured: float32, or float16 as its bits.
#pragma once

#include "base/element_type.h"
#include "base/half.h"

#include <cstddef>
#include <cstdint>

namespace llama_steer::ridge {

/// rows x cols elements; element (i, j) lies at data[i * row_stride + j], strides counted in elements. Owns nothing.
struct row_block {
    const void * data = nullptr;  ///< const float * or const std::uint16_t *, aligned for it
    element_type type = element_type::f32;
    std::size_t rows = 0, cols = 0, row_stride = 0;
    std::size_t number = 0;  ///< what messages call the first row
};

/// An element in float64, exactly.
inline double to_double(float value) { return double(value); }
inline double to_double(std::uint16_t half) { return half_to_double(half); }

/// Calls use(elements of row `row`): const float * or const std::uint16_t *, to be read through to_double.
template <typename user>
void visit_row(const row_block & block, std::size_t row, user && use) {
    const std::size_t at = row * block.row_stride;
    if (block.type == element_type::f32) {
        use(static_cast<const float *>(block.data) + at);
    } else {
        use(static_cast<const std::uint16_t *>(block.data) + at);
    }
}

/// The elements of a row, exactly. Halves are brought to `room` [cols], by the processor's instructions where it has
/// them; floats stay where they are.
inline const float * floats_of(const row_block & block, std::size_t row, float * room) {
    const std::size_t at = row * block.row_stride;
    if (block.type == element_type::f32) return static_cast<const float *>(block.data) + at;
    to_float(static_cast<const std::uint16_t *>(block.data) + at, block.cols, room);
    return room;
}

/// Throws NOT_FINITE naming the element: "rows[row 3, column 17] is NaN".
void check_row(const row_block & block, std::size_t row);

/// Throws INVALID_ARGUMENT when there are rows but no data, or a stride shorter than a row.
void check_block(const row_block & block);

}  // namespace llama_steer::ridge
