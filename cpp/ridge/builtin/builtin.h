// The built-in fallback: what blas.h promises, without its checks, on up to `threads` threads. Always compiled, so that
// tests and benchmarks can set it beside the BLAS that was found.
#pragma once

#include "../blas.h"
#include "kernel.h"

namespace llama_steer::ridge::builtin {

void gemm(double alpha, const_matrix_f64 a, transpose op_a, const_matrix_f64 b, transpose op_b, double beta,
          matrix_f64 c, std::size_t threads, const kernel & with = best_kernel());

void syrk(double alpha, const_matrix_f64 a, transpose op_a, double beta, matrix_f64 c, std::size_t threads,
          const kernel & with = best_kernel());

void gemv(double alpha, const_matrix_f64 a, transpose op_a, const double * x, double beta, double * y);

std::size_t potrf(matrix_f64 a, std::size_t threads, const kernel & with = best_kernel());

/// B := B L^-T, row by row: each row b of B [m, n] becomes the solution of L x = b.
void trsm(const_matrix_f64 l, matrix_f64 b, std::size_t threads, const kernel & with = best_kernel());

void potrs(const_matrix_f64 l, matrix_f64 b, std::size_t threads);

/// Householder reflections from the last row up; `a` then holds one reflector in each row left of the diagonal.
void tridiagonalize(matrix_f64 a, double * diagonal, double * beside, double * scales);
void tridiagonal_rotate(const_matrix_f64 a, const double * scales, transpose op, matrix_f64 b, std::size_t threads);

/// Sum of a[i] b[i].
double dot(std::size_t n, const double * a, const double * b);

/// y += alpha x.
void axpy(std::size_t n, double alpha, const double * x, double * y);

}  // namespace llama_steer::ridge::builtin
