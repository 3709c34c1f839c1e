#include "builtin.h"

#include <algorithm>

namespace llama_steer::ridge::builtin {

// Eight sums, so that the compiler may use vectors without being allowed to reorder.
double dot(std::size_t n, const double * a, const double * b) {
    double sum[8] = {};
    std::size_t i = 0;
    for (; i + 8 <= n; i += 8) {
        for (std::size_t lane = 0; lane < 8; lane++) sum[lane] += a[i + lane] * b[i + lane];
    }
    double rest = 0;
    for (; i < n; i++) rest += a[i] * b[i];
    return ((sum[0] + sum[4]) + (sum[1] + sum[5])) + ((sum[2] + sum[6]) + (sum[3] + sum[7])) + rest;
}

void axpy(std::size_t n, double alpha, const double * x, double * y) {
    for (std::size_t i = 0; i < n; i++) y[i] += alpha * x[i];
}

void gemv(double alpha, const_matrix_f64 a, transpose op_a, const double * x, double beta, double * y) {
    const std::size_t length = op_a == transpose::no ? a.rows : a.cols;
    if (beta == 0) {
        std::fill_n(y, length, 0.0);
    } else {
        for (std::size_t i = 0; i < length; i++) y[i] *= beta;
    }
    for (std::size_t i = 0; i < a.rows; i++) {
        if (op_a == transpose::no) {
            y[i] += alpha * dot(a.cols, a.row(i), x);
        } else {
            axpy(a.cols, alpha * x[i], a.row(i), y);
        }
    }
}

}  // namespace llama_steer::ridge::builtin
