#include "tridiagonal_system.h"

#include "blas.h"
#include "condition.h"

#include <algorithm>
#include <cmath>
#include <limits>
#include <utility>

namespace llama_steer::ridge {

namespace {

constexpr std::size_t lanes = 8;

/// The factors of up to `lanes` matrices side by side, and p^T (T + alpha I)^-1 p of rows p for all of them at once.
struct leverage_lanes {
    std::vector<double> below, inverse_pivots;  ///< [order, lanes]

    explicit leverage_lanes(std::size_t order) : below(order * lanes, 0.0), inverse_pivots(order * lanes, 0.0) {}

    void operator()(std::size_t order, const double * p, double * out) const {
        double z[lanes] = {}, sum[lanes] = {};
        for (std::size_t j = 0; j < order; j++) {
            const double * l = &below[j * lanes];
            const double * inverse = &inverse_pivots[j * lanes];
            for (std::size_t a = 0; a < lanes; a++) {
                z[a] = p[j] - l[a] * z[a];
                sum[a] += z[a] * z[a] * inverse[a];
            }
        }
        std::copy_n(sum, lanes, out);
    }
};

}  // namespace

tridiagonal_system::tridiagonal_system(ridge_gram<double> gram)
    : gram_(std::move(gram)), diagonal_(order()), beside_(order()), scales_(order()) {
    tridiagonalize(gram_.view(), diagonal_.data(), beside_.data(), scales_.data());
}

void tridiagonal_system::to_basis(matrix_f64 b) const {
    tridiagonal_rotate({gram_.values.data(), order(), order()}, scales_.data(), transpose::yes, b);
}

void tridiagonal_system::from_basis(matrix_f64 b) const {
    tridiagonal_rotate({gram_.values.data(), order(), order()}, scales_.data(), transpose::no, b);
}

tridiagonal_system::factor tridiagonal_system::factor_of(double alpha) const {
    factor out;
    out.pivots.resize(order());
    out.below.resize(order());
    double largest = 0;
    for (std::size_t j = 0; j < order(); j++) {
        out.pivots[j] = diagonal_[j] + alpha;
        if (j > 0) {
            out.below[j - 1] = beside_[j - 1] / out.pivots[j - 1];
            out.pivots[j] -= out.below[j - 1] * beside_[j - 1];
        }
        largest = std::max(largest, diagonal_[j] + alpha);
        // Elimination in an orthogonal basis leaves rounding in proportion to the whole matrix, not to the element.
        out.valid = out.valid && out.pivots[j] > 0;
    }
    const double least = *std::min_element(out.pivots.begin(), out.pivots.end());
    out.valid = out.valid && least > 16 * std::numeric_limits<double>::epsilon() * largest;
    return out;
}

tridiagonal_system::factor tridiagonal_system::checked(double alpha, std::size_t rows, std::size_t cols) const {
    factor out = factor_of(alpha);
    if (!out.valid) refuse_singular(rows, cols, alpha);
    return out;
}

void tridiagonal_system::factor::solve(double * b) const {
    const std::size_t n = pivots.size();
    for (std::size_t j = 1; j < n; j++) b[j] -= below[j - 1] * b[j - 1];
    for (std::size_t j = 0; j < n; j++) b[j] /= pivots[j];
    for (std::size_t j = n - 1; j-- > 0;) b[j] -= below[j] * b[j + 1];
}

void tridiagonal_system::solve(const std::vector<double> & alphas, const_matrix_f64 s, matrix_f64 out, std::size_t rows,
                               std::size_t cols) const {
    for (std::size_t r = 0; r < out.rows; r++) std::copy_n(s.row(r % s.rows), order(), out.row(r));
    solve_groups(alphas, out, rows, cols);
}

void tridiagonal_system::solve_groups(const std::vector<double> & alphas, matrix_f64 b, std::size_t rows,
                                      std::size_t cols) const {
    const std::size_t k = b.rows / alphas.size();
    for (std::size_t a = 0; a < alphas.size(); a++) {
        const factor one = checked(alphas[a], rows, cols);
        for (std::size_t t = 0; t < k; t++) one.solve(b.row(a * k + t));
    }
}

double tridiagonal_system::condition(double alpha) const {
    const factor one = factor_of(alpha);
    if (!one.valid) return std::numeric_limits<double>::infinity();
    double norm1 = 0;
    for (std::size_t j = 0; j < order(); j++) {
        const double above = j > 0 ? std::fabs(beside_[j - 1]) : 0;
        const double under = j + 1 < order() ? std::fabs(beside_[j]) : 0;
        norm1 = std::max(norm1, diagonal_[j] + alpha + above + under);
    }
    return condition_estimate(order(), norm1, [&](double * x) { one.solve(x); });
}

std::vector<fit_quality> tridiagonal_system::measure(const ridge_rows & rows, const std::vector<double> & alphas,
                                                     const_matrix_f64 s) const {
    const std::size_t k = s.rows, count = alphas.size(), m = order();
    std::vector<double> solved(count * k * m);
    const matrix_f64 x(solved.data(), count * k, m);
    solve(alphas, s, x, rows.count(), rows.cols());
    std::vector<leverage_lanes> groups;
    std::vector<quality_sum> sums;
    for (std::size_t a = 0; a < count; a++) {
        if (a % lanes == 0) groups.emplace_back(m);
        sums.emplace_back(rows, form(), alphas[a], facts().gamma);
        const factor one = factor_of(alphas[a]);
        for (std::size_t j = 0; j < m; j++) {
            groups.back().inverse_pivots[j * lanes + a % lanes] = 1 / one.pivots[j];
            groups.back().below[j * lanes + a % lanes] = j > 0 ? one.below[j - 1] : 0;
        }
    }
    const bool primal = form() == ridge_form::primal;
    std::vector<double> room, fitted;
    const auto add_rows = [&](std::size_t first, matrix_f64 p) {
        to_basis(p);
        fitted.resize(x.rows * p.rows);
        const matrix_f64 f(fitted.data(), x.rows, p.rows);
        gemm(1, x, transpose::no, p, transpose::yes, 0, f);
        for (std::size_t r = 0; primal && r < x.rows; r++) {
            const double * y = rows.y().row(r % k) + first;
            for (std::size_t i = 0; i < p.rows; i++) f(r, i) = y[i] - f(r, i);
        }
        double diagonals[lanes];
        for (std::size_t i = 0; i < p.rows; i++) {
            for (std::size_t a = 0; a < count; a++) {
                if (a % lanes == 0) groups[a / lanes](m, p.row(i), diagonals);
                sums[a].add(first + i, diagonals[a % lanes], &fitted[a * k * p.rows + i], p.rows);
            }
        }
    };
    if (primal) {
        rows.each_chunk([&](std::size_t first, const_matrix_f64 chunk) {
            room.assign(chunk.data, chunk.data + chunk.rows * m);
            add_rows(first, {room.data(), chunk.rows, m});
        });
    } else {
        constexpr std::size_t block = 256;
        for (std::size_t from = 0; from < m; from += block) {
            stop_if(rows.aborted());
            const std::size_t some = std::min(block, m - from);
            room.assign(some * m, 0.0);
            for (std::size_t i = 0; i < some; i++) room[i * m + from + i] = 1;
            add_rows(from, {room.data(), some, m});
        }
    }
    std::vector<fit_quality> out;
    for (const auto & sum : sums) out.push_back(sum.finish());
    return out;
}

}  // namespace llama_steer::ridge
