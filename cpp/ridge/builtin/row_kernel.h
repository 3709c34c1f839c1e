// Products of a few float32 rows with float64 vectors, exactly as if the rows had been converted and centred first, but
// without writing that down: what a pass over all rows is made of. Rows that come from memory once then serve two
// products. Compiled once for every instruction set that pays, as kernel.h is.
#pragma once

#include <cstddef>

namespace llama_steer::ridge::builtin {

/// The most rows of one call.
constexpr std::size_t kernel_rows = 4;

/// `rows` has `count` (1 to kernel_rows) pointers to `cols` floats; `mean` [cols] is subtracted from every row.
struct row_kernel {
    const char * name;

    /// sums[r] = (row r)^T p
    void (*dots)(std::size_t count, std::size_t cols, const float * const * rows, const double * mean, const double * p,
                 double * sums);
    /// sums[r] = |row r|^2
    void (*squares)(std::size_t count, std::size_t cols, const float * const * rows, const double * mean,
                    double * sums);
    /// out += sum_r factors[r] (row r)
    void (*add)(std::size_t count, std::size_t cols, const float * const * rows, const double * mean,
                const double * factors, double * out);
    /// out = factor (row), in float64 or rounded once from it
    void (*write)(std::size_t cols, const float * row, const double * mean, double factor, double * out);
    void (*write_single)(std::size_t cols, const float * row, const double * mean, double factor, float * out);
};

/// The best that this processor can run. Static storage.
const row_kernel & best_row_kernel();

/// The one that needs nothing beyond the architecture's baseline: tests set it beside the best.
const row_kernel & plain_row_kernel();

}  // namespace llama_steer::ridge::builtin
