#include "row_block.h"

#include "base/error.h"
#include "finite.h"

#include <string>

namespace llama_steer::ridge {

void check_row(const row_block & block, std::size_t row) {
    visit_row(block, row, [&](const auto * from) { check_finite_row(from, block.cols, block.number + row, "rows"); });
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
