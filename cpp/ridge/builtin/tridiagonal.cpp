// Householder's reduction, row by row and unblocked: half of any such reduction is matrix times vector, which memory
// bounds and no block size helps. Source: Golub and Van Loan, "Matrix Computations", 4th ed., section 8.3.1; taken
// from the last row up, so that every vector lies in a row.

#include "builtin.h"

#include "../parallel.h"

#include <algorithm>
#include <cmath>
#include <vector>

namespace llama_steer::ridge::builtin {

namespace {

/// Makes a reflector H = I - scale v v^T of x [n], with H x = (0, .., 0, beta): v replaces x, its last element is 1.
/// Returns beta.
double reflect(std::size_t n, double * x, double & scale) {
    const double last = x[n - 1], rest = dot(n - 1, x, x);
    x[n - 1] = 1;
    scale = 0;
    if (rest == 0) return last;
    const double beta = -std::copysign(std::sqrt(last * last + rest), last);
    scale = (beta - last) / beta;
    for (std::size_t j = 0; j + 1 < n; j++) x[j] /= last - beta;
    return beta;
}

/// A := H A H for the leading block of order n, of which the lower triangle is kept.
void apply_both_sides(matrix_f64 a, std::size_t n, const double * v, double scale, std::vector<double> & p) {
    std::fill_n(p.begin(), n, 0.0);
    for (std::size_t i = 0; i < n; i++) {
        p[i] += dot(i + 1, a.row(i), v);
        axpy(i, v[i], a.row(i), p.data());
    }
    const double half = scale * scale * dot(n, p.data(), v) / 2;
    for (std::size_t i = 0; i < n; i++) p[i] = scale * p[i] - half * v[i];
    for (std::size_t i = 0; i < n; i++) {
        axpy(i + 1, -v[i], p.data(), a.row(i));
        axpy(i + 1, -p[i], v, a.row(i));
    }
}

}  // namespace

void tridiagonalize(matrix_f64 a, double * diagonal, double * beside, double * scales) {
    std::vector<double> p(a.rows);
    for (std::size_t i = a.rows; i-- > 1;) {
        beside[i - 1] = reflect(i, a.row(i), scales[i - 1]);
        if (scales[i - 1] != 0) apply_both_sides(a, i, a.row(i), scales[i - 1], p);
    }
    for (std::size_t i = 0; i < a.rows; i++) diagonal[i] = a(i, i);
}

void tridiagonal_rotate(const_matrix_f64 a, const double * scales, transpose op, matrix_f64 b, std::size_t threads) {
    const std::size_t n = a.rows, shares = std::max<std::size_t>(1, std::min(threads, b.rows));
    const auto reflect_row = [&](std::size_t i, double * x) {
        axpy(i, -scales[i - 1] * dot(i, a.row(i), x), a.row(i), x);
    };
    run_parallel(shares, [&](std::size_t share) {
        for (std::size_t r = b.rows * share / shares; r < b.rows * (share + 1) / shares; r++) {
            if (op == transpose::yes) {
                for (std::size_t i = n; i-- > 1;) reflect_row(i, b.row(r));
            } else {
                for (std::size_t i = 1; i < n; i++) reflect_row(i, b.row(r));
            }
        }
    });
}

}  // namespace llama_steer::ridge::builtin
