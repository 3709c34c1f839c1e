// The Fortran symbols of BLAS and LAPACK that blas.cpp calls, and the few of each library's own. Declared here rather
// than included: every BLAS exports the symbols, not every one ships the same headers. Integers are 32-bit (LP64).
#pragma once

#include <cstddef>

extern "C" {

// Hidden lengths of the character arguments come last, as gfortran and ifort pass them.
void dgemm_(const char * op_a, const char * op_b, const int * m, const int * n, const int * k, const double * alpha,
            const double * a, const int * lda, const double * b, const int * ldb, const double * beta, double * c,
            const int * ldc, std::size_t, std::size_t);
void dsyrk_(const char * uplo, const char * op, const int * n, const int * k, const double * alpha, const double * a,
            const int * lda, const double * beta, double * c, const int * ldc, std::size_t, std::size_t);
void dgemv_(const char * op, const int * m, const int * n, const double * alpha, const double * a, const int * lda,
            const double * x, const int * incx, const double * beta, double * y, const int * incy, std::size_t);
void dpotrf_(const char * uplo, const int * n, double * a, const int * lda, int * info, std::size_t);
void dpotrs_(const char * uplo, const int * n, const int * nrhs, const double * a, const int * lda, double * b,
             const int * ldb, int * info, std::size_t);
void dtrsv_(const char * uplo, const char * op, const char * diag, const int * n, const double * a, const int * lda,
            double * x, const int * incx, std::size_t, std::size_t, std::size_t);
void strsv_(const char * uplo, const char * op, const char * diag, const int * n, const float * a, const int * lda,
            float * x, const int * incx, std::size_t, std::size_t, std::size_t);
void dtrsm_(const char * side, const char * uplo, const char * op, const char * diag, const int * m, const int * n,
            const double * alpha, const double * a, const int * lda, double * b, const int * ldb, std::size_t,
            std::size_t, std::size_t, std::size_t);
void strsm_(const char * side, const char * uplo, const char * op, const char * diag, const int * m, const int * n,
            const float * alpha, const float * a, const int * lda, float * b, const int * ldb, std::size_t, std::size_t,
            std::size_t, std::size_t);
void dsytrd_(const char * uplo, const int * n, double * a, const int * lda, double * d, double * e, double * tau,
             double * work, const int * lwork, int * info, std::size_t);
void dormtr_(const char * side, const char * uplo, const char * op, const int * m, const int * n, const double * a,
             const int * lda, const double * tau, double * c, const int * ldc, double * work, const int * lwork,
             int * info, std::size_t, std::size_t, std::size_t);
void ssyrk_(const char * uplo, const char * op, const int * n, const int * k, const float * alpha, const float * a,
            const int * lda, const float * beta, float * c, const int * ldc, std::size_t, std::size_t);
void spotrf_(const char * uplo, const int * n, float * a, const int * lda, int * info, std::size_t);
void spotrs_(const char * uplo, const int * n, const int * nrhs, const float * a, const int * lda, float * b,
             const int * ldb, int * info, std::size_t);

#if defined(LLAMA_STEER_BLAS_OPENBLAS)
char * openblas_get_config(void);
int openblas_get_num_threads(void);
void openblas_set_num_threads(int);
#elif defined(LLAMA_STEER_BLAS_MKL)
void MKL_Get_Version_String(char * buffer, int length);
int MKL_Get_Max_Threads(void);
void MKL_Set_Num_Threads(int);
#endif
}
