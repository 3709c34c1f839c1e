// Recursive halving (Gustavson 1997; Andersen, Gustavson and Wasniewski 2001): nearly all of the work lands in large
// matrix products, and no block size has to be tuned for a machine.

#include "builtin.h"

#include "../parallel.h"

#include <algorithm>
#include <cmath>

namespace llama_steer::ridge::builtin {

namespace {

constexpr std::size_t leaf = 64;
constexpr double flops_per_thread = 3e7;

std::size_t half(std::size_t n) { return (n / 2 + leaf - 1) / leaf * leaf; }

std::size_t factor_leaf(matrix_f64 a) {
    for (std::size_t i = 0; i < a.rows; i++) {
        double * row = a.row(i);
        for (std::size_t j = 0; j < i; j++) row[j] = (row[j] - dot(j, row, a.row(j))) / a(j, j);
        const double pivot = row[i] - dot(i, row, row);
        if (!(pivot > 0) || !std::isfinite(pivot)) return i + 1;
        row[i] = std::sqrt(pivot);
    }
    return 0;
}

void solve_leaf(const kernel & with, const_matrix_f64 l, matrix_f64 b) {
    double x[leaf * solve_lanes];
    const std::size_t n = l.rows;
    for (std::size_t first = 0; first < b.rows; first += solve_lanes) {
        const std::size_t used = std::min(solve_lanes, b.rows - first);
        for (std::size_t lane = 0; lane < solve_lanes; lane++) {
            for (std::size_t j = 0; j < n; j++) x[j * solve_lanes + lane] = lane < used ? b(first + lane, j) : 0;
        }
        with.solve(n, l.data, l.row_stride, x);
        for (std::size_t lane = 0; lane < used; lane++) {
            for (std::size_t j = 0; j < n; j++) b(first + lane, j) = x[j * solve_lanes + lane];
        }
    }
}

void solve_rows(const kernel & with, const_matrix_f64 l, matrix_f64 b) {
    const std::size_t n = l.rows;
    if (n <= leaf) return solve_leaf(with, l, b);
    const std::size_t n1 = half(n), n2 = n - n1;
    const matrix_f64 left = b.block(0, 0, b.rows, n1), right = b.block(0, n1, b.rows, n2);
    solve_rows(with, l.block(0, 0, n1, n1), left);
    gemm(-1, left, transpose::no, l.block(n1, 0, n2, n1), transpose::yes, 1, right, 1, with);
    solve_rows(with, l.block(n1, n1, n2, n2), right);
}

}  // namespace

void trsm(const_matrix_f64 l, matrix_f64 b, std::size_t threads, const kernel & with) {
    const double flops = double(b.rows) * double(l.rows) * double(l.rows);
    const auto worth = static_cast<std::size_t>(std::min(flops / flops_per_thread, 1e6));
    const std::size_t groups = (b.rows + solve_lanes - 1) / solve_lanes;
    const std::size_t shares = std::max<std::size_t>(1, std::min({threads, worth, groups}));
    run_parallel(shares, [&](std::size_t share) {
        const std::size_t begin = groups * share / shares * solve_lanes;
        const std::size_t end = std::min(b.rows, groups * (share + 1) / shares * solve_lanes);
        if (begin < end) solve_rows(with, l, b.block(begin, 0, end - begin, b.cols));
    });
}

std::size_t potrf(matrix_f64 a, std::size_t threads, const kernel & with) {
    const std::size_t n = a.rows;
    if (n <= leaf) return factor_leaf(a);
    const std::size_t n1 = half(n), n2 = n - n1;
    const matrix_f64 top = a.block(0, 0, n1, n1), side = a.block(n1, 0, n2, n1), rest = a.block(n1, n1, n2, n2);
    if (const std::size_t failed = potrf(top, threads, with)) return failed;
    trsm(top, side, threads, with);
    syrk(-1, side, transpose::no, 1, rest, threads, with);
    const std::size_t failed = potrf(rest, threads, with);
    return failed ? n1 + failed : 0;
}

void potrs(const_matrix_f64 l, matrix_f64 b, std::size_t threads) {
    const std::size_t n = l.rows;
    const double flops = 2.0 * double(b.rows) * double(n) * double(n);
    const auto worth = static_cast<std::size_t>(std::min(flops / flops_per_thread, 1e6));
    const std::size_t shares = std::max<std::size_t>(1, std::min({threads, worth, b.rows}));
    run_parallel(shares, [&](std::size_t share) {
        for (std::size_t r = b.rows * share / shares; r < b.rows * (share + 1) / shares; r++) {
            double * x = b.row(r);
            for (std::size_t i = 0; i < n; i++) x[i] = (x[i] - dot(i, l.row(i), x)) / l(i, i);
            for (std::size_t i = n; i-- > 0;) {
                x[i] /= l(i, i);
                axpy(i, -x[i], l.row(i), x);
            }
        }
    });
}

}  // namespace llama_steer::ridge::builtin
