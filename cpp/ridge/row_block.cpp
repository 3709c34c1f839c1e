#include "row_block.h"

#include "base/error.h"
#include "finite.h"
#include "half.h"

#include <cstdint>
#include <string>

namespace llama_steer::ridge {

namespace {

const float * floats(const row_block & block, std::size_t row) {
    return static_cast<const float *>(block.data) + row * block.row_stride;
}

const std::uint16_t * halves(const row_block & block, std::size_t row) {
    return static_cast<const std::uint16_t *>(block.data) + row * block.row_stride;
}

}  // namespace

void read_row(const row_block & block, std::size_t row, double * out) {
    if (block.type == row_type::f32) {
        const float * from = floats(block, row);
        for (std::size_t j = 0; j < block.cols; j++) out[j] = double(from[j]);
    } else {
        const std::uint16_t * from = halves(block, row);
        for (std::size_t j = 0; j < block.cols; j++) out[j] = half_to_double(from[j]);
    }
}

void check_row(const row_block & block, std::size_t row) {
    if (block.type == row_type::f32) {
        check_finite_row(floats(block, row), block.cols, row, "rows");
    } else {
        check_finite_row(halves(block, row), block.cols, row, "rows");
    }
}

void check_block(const row_block & block) {
    if (block.rows == 0) return;
    if (!block.data) throw error(error_code::INVALID_ARGUMENT, "there are rows but no data");
    if (block.row_stride < block.cols) {
        throw error(error_code::INVALID_ARGUMENT, "the row stride " + std::to_string(block.row_stride) +
                                                      " is shorter than a row of " + std::to_string(block.cols));
    }
}

}  // namespace llama_steer::ridge
