// Rows brought to float64 a chunk at a time, so that sums over any number of them run through the kernels in bounded
// memory.
#pragma once

#include "matrix_view.h"

#include <algorithm>
#include <cstddef>
#include <vector>

namespace llama_steer::ridge {

/// Rows of a chunk of elements of that size: 256 to 4096, 8 MB or as much as d x d sums take where that lies between,
/// so that it stays in the caches, a pass over the sums is worth its while, and memory is mostly theirs.
inline std::size_t chunk_rows(std::size_t cols, std::size_t element_bytes) {
    constexpr std::size_t bytes = std::size_t(8) << 20;
    return std::clamp<std::size_t>(std::min(bytes / element_bytes / cols, cols), 256, 4096);
}

/// Room for a chunk of rows. Reusable, not to be shared.
class row_chunks {
public:
    /// `rows`: the most that will come at once. Throws std::bad_alloc.
    row_chunks(std::size_t rows, std::size_t cols)
        : capacity_(std::min(chunk_rows(cols, sizeof(double)), rows)), cols_(cols), data_(capacity_ * cols) {}

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
    std::size_t capacity_, cols_;
    std::vector<double> data_;
};

}  // namespace llama_steer::ridge
