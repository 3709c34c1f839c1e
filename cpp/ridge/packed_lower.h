// Lower triangles of symmetric matrices in little more than half their memory, and still fit for the kernels.
//
// Rows go into panels of 256. Panel p holds rows [256 p, e), e = min(d, 256 (p + 1)), with columns [0, e), row-major
// and without room between rows: a rectangle left of the diagonal for gemm, and a block on it for syrk, of which the
// upper triangle stays 0. LAPACK's packed formats take d (d + 1) / 2 numbers, but no BLAS adds A^T A to those at the
// speed of its dense kernels; d x d takes twice as much. This takes d (d + 256) / 2: for d = 4096 it is 53 % of d x d.
#pragma once

#include "matrix_view.h"

#include <cstddef>

namespace llama_steer::ridge {

/// Numbers in the packed triangle of a matrix of order d; below 2^62 for d < 2^31.
std::size_t packed_size(std::size_t order);

/// Elements (i, 0) .. (i, i) of a packed triangle.
const double * packed_row(const double * packed, std::size_t order, std::size_t i);

/// A view to write through: owns nothing.
struct packed_lower {
    double * data = nullptr;
    std::size_t order = 0;

    double * row(std::size_t i) const { return data + (packed_row(data, order, i) - data); }

    /// += A^T A for rows A [any, order], through the kernels, which may need a few MB a thread (std::bad_alloc).
    void add_gram(const_matrix_f64 rows) const;

    /// += other + factor x x^T, `other` packed as this, x [order]. Neither allocates nor fails.
    void add(const double * other, double factor, const double * x) const;

    /// `out` [order, order] = the whole symmetric matrix, divided by `divisor`.
    void copy_to(matrix_f64 out, double divisor) const;
};

}  // namespace llama_steer::ridge
