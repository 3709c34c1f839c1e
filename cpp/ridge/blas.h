// The dense kernels the solver stands on, over float64 row-major matrices. One of two implementations serves, chosen
// when the library is configured (LLAMA_STEER_BLAS): a BLAS/LAPACK found on the machine, through its Fortran symbols,
// or the blocked fallback in builtin/. Both pass the same tests.
//
// Shapes are checked: WIDTH_MISMATCH where they do not fit each other, INVALID_ARGUMENT for a stride shorter than a row
// or a dimension beyond 2^31 - 1. Outputs must not overlap inputs. Callable from any thread. Dimensions of 0 are
// allowed. NaN and infinity pass through as arithmetic has it, except that beta == 0 never reads the output.
#pragma once

#include "matrix_view.h"

#include <cstddef>
#include <string>

namespace llama_steer::ridge {

enum class transpose { no, yes };

/// C = alpha * op(A) op(B) + beta * C. Shapes after op: [m, k] [k, n] -> [m, n].
void gemm(double alpha, const_matrix_f64 a, transpose op_a, const_matrix_f64 b, transpose op_b, double beta,
          matrix_f64 c);

/// The lower triangle of C = alpha * op(A) op(A)^T + beta * C: `no` gives A A^T [rows, rows] (dual), `yes` gives A^T A
/// [cols, cols] (primal, the Gram matrix). Elements above the diagonal are neither read nor written.
void syrk(double alpha, const_matrix_f64 a, transpose op_a, double beta, matrix_f64 c);

/// y = alpha * op(A) x + beta * y; x and y are contiguous and as long as op(A) says.
void gemv(double alpha, const_matrix_f64 a, transpose op_a, const double * x, double beta, double * y);

/// Cholesky: A = L L^T, reads and replaces the lower triangle only. Returns 0, or the order (1-based) of the leading
/// minor that is not positive definite; the triangle is then partly overwritten.
std::size_t potrf(matrix_f64 a);

/// Solves L L^T x = b for every row b of `b` [k, n] in place, where `l` [n, n] is a factor by potrf.
void potrs(const_matrix_f64 l, matrix_f64 b);

/// B := B L^-T: each row b of `b` [k, n] becomes the solution of L x = b in place.
void trsm(const_matrix_f64 l, matrix_f64 b);

/// Reduces a symmetric A = Q T Q^T of which the lower triangle is given to the tridiagonal T, with `diagonal` [n] and
/// `beside` [n - 1] (room for n). The triangle and `scales` [n] then hold Q, for tridiagonal_rotate alone.
void tridiagonalize(matrix_f64 a, double * diagonal, double * beside, double * scales);

/// Each row b of `b` [k, n] becomes Q^T b (`yes`) or Q b (`no`), Q being what tridiagonalize left in `a` and `scales`.
void tridiagonal_rotate(const_matrix_f64 a, const double * scales, transpose op, matrix_f64 b);

/// "openblas 0.3.21", "mkl 2024.2.0", "accelerate" or "builtin".
std::string backend();

/// More for people: instruction set or build configuration, and the number of threads.
std::string backend_detail();

/// What a user should be told about the backend, once in a process: the first call returns the text (empty where
/// nothing is to be said), every later one the empty string. The library itself prints nothing.
std::string take_notice();

/// Threads for the kernels of this process; 0 restores the default (what the BLAS chose at start, or all cores).
/// Accelerate chooses by itself. Takes effect for calls that start later.
void set_threads(std::size_t count);
std::size_t threads();

/// While any of these lives, every kernel runs on its caller's thread alone: for callers that are parallel themselves.
/// Counted over the process, since BLAS libraries know only one setting.
class serial_kernels {
public:
    serial_kernels();
    ~serial_kernels();
    serial_kernels(const serial_kernels &) = delete;
    serial_kernels & operator=(const serial_kernels &) = delete;
};

}  // namespace llama_steer::ridge
