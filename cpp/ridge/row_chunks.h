// Rows brought to float64 a chunk at a time, so that sums over any number of them run through the kernels in bounded
// memory.
#pragma once

#include "matrix_view.h"

#include <algorithm>
#include <cstddef>
#include <vector>

namespace llama_steer::ridge {

/// Room for a chunk of rows: 256 to 4096 of them, 8 MB where that lies between, so that it stays in the caches and a
/// pass over d x d sums is worth its while. Reusable, not to be shared.
class row_chunks {
public:
    /// `rows`: the most that will come at once. Throws std::bad_alloc.
    row_chunks(std::size_t rows, std::size_t cols)
        : capacity_(std::min(std::clamp<std::size_t>(bytes / sizeof(double) / cols, 256, 4096), rows)),
          cols_(cols),
          data_(capacity_ * cols) {}

    /// For rows 0 .. rows - 1 in order: write_row(i, out) puts row i to out [cols], use_chunk(matrix_f64) gets
    /// each full chunk and the rest, and may overwrite it.
    template <typename writer, typename user>
    void each(std::size_t rows, writer && write_row, user && use_chunk) {
        for (std::size_t first = 0; first < rows; first += capacity_) {
            const std::size_t count = std::min(capacity_, rows - first);
            for (std::size_t i = 0; i < count; i++) write_row(first + i, data_.data() + i * cols_);
            use_chunk(matrix_f64(data_.data(), count, cols_));
        }
    }

private:
    static constexpr std::size_t bytes = std::size_t(8) << 20;

    std::size_t capacity_, cols_;
    std::vector<double> data_;
};

}  // namespace llama_steer::ridge
