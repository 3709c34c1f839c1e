// The float32 kernels of mixed-precision solves: what blas.h has in float64. Only a BLAS has them: the built-in
// fallback does not, and solves in float64 instead.
#pragma once

#include "matrix_view.h"

#include <cstddef>

namespace llama_steer::ridge::single {

using matrix_f32 = basic_matrix_view<float>;
using const_matrix_f32 = basic_matrix_view<const float>;

/// Whether the functions below may be called.
bool available();

/// The lower triangle of C += A^T A (`columns`: [cols, cols]) or C += A A^T ([rows, rows]).
void add_gram(const_matrix_f32 a, bool columns, matrix_f32 c);
/// As ridge::potrf, ridge::potrs and ridge::trsm.
std::size_t potrf(matrix_f32 a);
void potrs(const_matrix_f32 l, matrix_f32 b);
void trsm(const_matrix_f32 l, matrix_f32 b);

}  // namespace llama_steer::ridge::single
