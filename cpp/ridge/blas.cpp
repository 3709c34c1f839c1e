#include "blas.h"

#include "base/error.h"
#include "builtin/builtin.h"

#include <algorithm>
#include <climits>
#include <string>
#include <vector>

#if defined(LLAMA_STEER_BLAS_OPENBLAS) || defined(LLAMA_STEER_BLAS_MKL) || defined(LLAMA_STEER_BLAS_ACCELERATE)
#define LS_FORTRAN 1
#include "fortran.h"
#else
#define LS_FORTRAN 0
#endif

namespace llama_steer::ridge {

namespace {

std::size_t op_rows(const_matrix_f64 a, transpose op) { return op == transpose::no ? a.rows : a.cols; }
std::size_t op_cols(const_matrix_f64 a, transpose op) { return op == transpose::no ? a.cols : a.rows; }

void check(const_matrix_f64 a, const char * name) {
    if (a.row_stride < a.cols)
        throw error(error_code::INVALID_ARGUMENT, std::string(name) + ": stride shorter than a row");
    if (a.rows > INT_MAX || a.row_stride > INT_MAX) {
        throw error(error_code::INVALID_ARGUMENT, std::string(name) + ": a dimension is beyond 2^31 - 1");
    }
}

void same(std::size_t a, std::size_t b, const char * what) {
    if (a == b) return;
    throw error(error_code::WIDTH_MISMATCH,
                std::string(what) + ": " + std::to_string(a) + " is not " + std::to_string(b));
}

#if LS_FORTRAN
// Fortran's matrices are column-major: it sees the transpose of ours, so operands change places, and our lower triangle
// is its upper one.
int size(std::size_t value) { return static_cast<int>(value); }
int stride(const_matrix_f64 a) { return a.row_stride ? static_cast<int>(a.row_stride) : 1; }
const char * flag(transpose op) { return op == transpose::no ? "N" : "T"; }
const char * opposite(transpose op) { return op == transpose::no ? "T" : "N"; }
#endif

}  // namespace

void gemm(double alpha, const_matrix_f64 a, transpose op_a, const_matrix_f64 b, transpose op_b, double beta,
          matrix_f64 c) {
    check(a, "gemm: A");
    check(b, "gemm: B");
    check(c, "gemm: C");
    same(op_rows(a, op_a), c.rows, "gemm: rows of A and C");
    same(op_cols(b, op_b), c.cols, "gemm: columns of B and C");
    same(op_cols(a, op_a), op_rows(b, op_b), "gemm: the summed dimension of A and B");
    if (c.rows == 0 || c.cols == 0) return;
#if LS_FORTRAN
    const int m = size(c.cols), n = size(c.rows), k = size(op_cols(a, op_a));
    const int lda = stride(a), ldb = stride(b), ldc = stride(c);
    dgemm_(flag(op_b), flag(op_a), &m, &n, &k, &alpha, b.data, &ldb, a.data, &lda, &beta, c.data, &ldc, 1, 1);
#else
    builtin::gemm(alpha, a, op_a, b, op_b, beta, c, threads());
#endif
}

void syrk(double alpha, const_matrix_f64 a, transpose op_a, double beta, matrix_f64 c) {
    check(a, "syrk: A");
    check(c, "syrk: C");
    same(c.rows, c.cols, "syrk: rows and columns of C");
    same(op_rows(a, op_a), c.rows, "syrk: A and C");
    if (c.rows == 0) return;
#if LS_FORTRAN
    const int n = size(c.rows), k = size(op_cols(a, op_a)), lda = stride(a), ldc = stride(c);
    dsyrk_("U", opposite(op_a), &n, &k, &alpha, a.data, &lda, &beta, c.data, &ldc, 1, 1);
#else
    builtin::syrk(alpha, a, op_a, beta, c, threads());
#endif
}

void gemv(double alpha, const_matrix_f64 a, transpose op_a, const double * x, double beta, double * y) {
    check(a, "gemv: A");
    if (op_rows(a, op_a) == 0) return;
#if LS_FORTRAN
    // Fortran returns at once where either dimension is 0, and leaves y unscaled.
    if (op_cols(a, op_a) != 0) {
        const int m = size(a.cols), n = size(a.rows), lda = stride(a), one = 1;
        dgemv_(opposite(op_a), &m, &n, &alpha, a.data, &lda, x, &one, &beta, y, &one, 1);
        return;
    }
#endif
    builtin::gemv(alpha, a, op_a, x, beta, y);
}

std::size_t potrf(matrix_f64 a) {
    check(a, "potrf: A");
    same(a.rows, a.cols, "potrf: rows and columns of A");
    if (a.rows == 0) return 0;
#if LS_FORTRAN
    const int n = size(a.rows), lda = stride(a);
    int info = 0;
    dpotrf_("U", &n, a.data, &lda, &info, 1);
    if (info < 0) throw error(error_code::INTERNAL, "dpotrf refused its argument " + std::to_string(-info));
    return static_cast<std::size_t>(info);
#else
    return builtin::potrf(a, threads());
#endif
}

void potrs(const_matrix_f64 l, matrix_f64 b) {
    check(l, "potrs: L");
    check(b, "potrs: B");
    same(l.rows, l.cols, "potrs: rows and columns of L");
    same(b.cols, l.rows, "potrs: columns of B and order of L");
    if (b.rows == 0 || b.cols == 0) return;
#if LS_FORTRAN
    const int n = size(l.rows), count = size(b.rows), lda = stride(l), ldb = stride(b), one = 1;
    if (b.rows == 1) {
        // dpotrs would copy the factor for its blocks, which one right side does not repay.
        dtrsv_("U", "T", "N", &n, l.data, &lda, b.data, &one, 1, 1, 1);
        dtrsv_("U", "N", "N", &n, l.data, &lda, b.data, &one, 1, 1, 1);
        return;
    }
    int info = 0;
    dpotrs_("U", &n, &count, l.data, &lda, b.data, &ldb, &info, 1);
    if (info < 0) throw error(error_code::INTERNAL, "dpotrs refused its argument " + std::to_string(-info));
#else
    builtin::potrs(l, b, threads());
#endif
}

void trsm(const_matrix_f64 l, matrix_f64 b) {
    check(l, "trsm: L");
    check(b, "trsm: B");
    same(l.rows, l.cols, "trsm: rows and columns of L");
    same(b.cols, l.rows, "trsm: columns of B and order of L");
    if (b.rows == 0 || b.cols == 0) return;
#if LS_FORTRAN
    const int n = size(l.rows), count = size(b.rows), lda = stride(l), ldb = stride(b);
    const double one = 1;
    dtrsm_("L", "U", "T", "N", &n, &count, &one, l.data, &lda, b.data, &ldb, 1, 1, 1, 1);
#else
    builtin::trsm(l, b, threads());
#endif
}

void tridiagonalize(matrix_f64 a, double * diagonal, double * beside, double * scales) {
    check(a, "tridiagonalize: A");
    same(a.rows, a.cols, "tridiagonalize: rows and columns of A");
    if (a.rows == 0) return;
#if LS_FORTRAN
    const int n = size(a.rows), lda = stride(a), ask = -1;
    int info = 0;
    double best = 0;
    dsytrd_("U", &n, a.data, &lda, diagonal, beside, scales, &best, &ask, &info, 1);
    std::vector<double> work(std::max<std::size_t>(1, static_cast<std::size_t>(best)));
    const int room = size(work.size());
    dsytrd_("U", &n, a.data, &lda, diagonal, beside, scales, work.data(), &room, &info, 1);
    if (info != 0) throw error(error_code::INTERNAL, "dsytrd refused its argument " + std::to_string(-info));
#else
    builtin::tridiagonalize(a, diagonal, beside, scales);
#endif
}

void tridiagonal_rotate(const_matrix_f64 a, const double * scales, transpose op, matrix_f64 b) {
    check(a, "tridiagonal_rotate: A");
    check(b, "tridiagonal_rotate: B");
    same(a.rows, a.cols, "tridiagonal_rotate: rows and columns of A");
    same(b.cols, a.rows, "tridiagonal_rotate: columns of B and order of A");
    if (b.rows == 0 || b.cols == 0) return;
#if LS_FORTRAN
    const int n = size(b.cols), count = size(b.rows), lda = stride(a), ldb = stride(b), ask = -1;
    int info = 0;
    double best = 0;
    const char * side = op == transpose::yes ? "T" : "N";
    dormtr_("L", "U", side, &n, &count, a.data, &lda, scales, b.data, &ldb, &best, &ask, &info, 1, 1, 1);
    std::vector<double> work(std::max<std::size_t>(1, static_cast<std::size_t>(best)));
    const int room = size(work.size());
    dormtr_("L", "U", side, &n, &count, a.data, &lda, scales, b.data, &ldb, work.data(), &room, &info, 1, 1, 1);
    if (info != 0) throw error(error_code::INTERNAL, "dormtr refused its argument " + std::to_string(-info));
#else
    builtin::tridiagonal_rotate(a, scales, op, b, threads());
#endif
}

}  // namespace llama_steer::ridge
