#include "single.h"

#include "base/error.h"

#include <climits>
#include <string>

#if defined(LLAMA_STEER_BLAS_OPENBLAS) || defined(LLAMA_STEER_BLAS_MKL) || defined(LLAMA_STEER_BLAS_ACCELERATE)
#define LS_FORTRAN 1
#include "fortran.h"
#else
#define LS_FORTRAN 0
#endif

namespace llama_steer::ridge::single {

#if LS_FORTRAN

namespace {

// As in blas.cpp: Fortran sees the transpose of ours.
int size(std::size_t value) {
    if (value > INT_MAX) throw error(error_code::INVALID_ARGUMENT, "a dimension is beyond 2^31 - 1");
    return static_cast<int>(value);
}

void check_info(int info, const char * name) {
    if (info < 0) {
        throw error(error_code::INTERNAL, std::string(name) + " refused its argument " + std::to_string(-info));
    }
}

}  // namespace

bool available() { return true; }

void add_gram(const_matrix_f32 a, bool columns, matrix_f32 c) {
    const int n = size(c.rows), k = size(columns ? a.rows : a.cols), lda = size(a.row_stride), ldc = size(c.row_stride);
    const float one = 1;
    ssyrk_("U", columns ? "N" : "T", &n, &k, &one, a.data, &lda, &one, c.data, &ldc, 1, 1);
}

std::size_t potrf(matrix_f32 a) {
    const int n = size(a.rows), lda = size(a.row_stride);
    int info = 0;
    spotrf_("U", &n, a.data, &lda, &info, 1);
    check_info(info, "spotrf");
    return static_cast<std::size_t>(info);
}

void potrs(const_matrix_f32 l, matrix_f32 b) {
    const int n = size(l.rows), count = size(b.rows), lda = size(l.row_stride), ldb = size(b.row_stride), one = 1;
    if (b.rows == 1) {  // as in blas.cpp
        strsv_("U", "T", "N", &n, l.data, &lda, b.data, &one, 1, 1, 1);
        strsv_("U", "N", "N", &n, l.data, &lda, b.data, &one, 1, 1, 1);
        return;
    }
    int info = 0;
    spotrs_("U", &n, &count, l.data, &lda, b.data, &ldb, &info, 1);
    check_info(info, "spotrs");
}

void trsm(const_matrix_f32 l, matrix_f32 b) {
    const int n = size(l.rows), count = size(b.rows), lda = size(l.row_stride), ldb = size(b.row_stride);
    const float one = 1;
    strsm_("L", "U", "T", "N", &n, &count, &one, l.data, &lda, b.data, &ldb, 1, 1, 1, 1);
}

#else

bool available() { return false; }
void add_gram(const_matrix_f32, bool, matrix_f32) { throw error(error_code::INTERNAL, "no float32 kernels"); }
std::size_t potrf(matrix_f32) { throw error(error_code::INTERNAL, "no float32 kernels"); }
void potrs(const_matrix_f32, matrix_f32) { throw error(error_code::INTERNAL, "no float32 kernels"); }
void trsm(const_matrix_f32, matrix_f32) { throw error(error_code::INTERNAL, "no float32 kernels"); }

#endif

}  // namespace llama_steer::ridge::single
