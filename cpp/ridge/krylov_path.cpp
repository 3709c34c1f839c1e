#include "krylov_path.h"

#include "blas.h"
#include "builtin/builtin.h"

#include <algorithm>
#include <cmath>
#include <limits>

namespace llama_steer::ridge {

namespace {

constexpr double largest_condition = 4e5;
// Of the residual, relative to alpha |x|: a bound of the error, since no eigenvalue lies below alpha.
constexpr double converged_at = 1e-13;

/// T_j, growing.
struct lanczos_matrix {
    std::vector<double> diagonal, beside;  ///< beside[j] couples j and j + 1; the last one leads out of the space

    std::size_t size() const { return diagonal.size(); }

    /// y = (T + alpha I)^-1 e_1 * scale
    void solve(double alpha, double scale, std::vector<double> & y) const {
        const std::size_t n = size();
        std::vector<double> pivots(n), below(n);
        y.assign(n, 0.0);
        y[0] = scale;
        for (std::size_t j = 0; j < n; j++) {
            pivots[j] = diagonal[j] + alpha;
            if (j == 0) continue;
            below[j] = beside[j - 1] / pivots[j - 1];
            pivots[j] -= below[j] * beside[j - 1];
            y[j] -= below[j] * y[j - 1];
        }
        for (std::size_t j = 0; j < n; j++) y[j] /= pivots[j];
        for (std::size_t j = n - 1; j-- > 0;) y[j] -= below[j + 1] * y[j + 1];
    }

    /// Of its rows: no less than the largest eigenvalue.
    double norm() const {
        double largest = 0;
        for (std::size_t j = 0; j < size(); j++) {
            largest = std::max(largest, diagonal[j] + beside[j] + (j > 0 ? beside[j - 1] : 0));
        }
        return largest;
    }
};

double norm(std::size_t n, const double * x) { return std::sqrt(builtin::dot(n, x, x)); }

/// w -= Q Q^T w, twice: one pass leaves rounding in proportion to what it removed.
void orthogonalize(const_matrix_f64 q, double * w) {
    std::vector<double> along(q.rows);
    for (int pass = 0; pass < 2; pass++) {
        gemv(1, q, transpose::no, w, 0, along.data());
        gemv(-1, q, transpose::yes, along.data(), 1, w);
    }
}

bool has_converged(const lanczos_matrix & t, double alpha) {
    std::vector<double> y;
    t.solve(alpha, 1, y);
    return t.beside.back() * std::fabs(y.back()) <= converged_at * alpha * norm(y.size(), y.data());
}

}  // namespace

std::size_t krylov_steps(std::size_t order) { return order <= 256 ? order : std::max<std::size_t>(256, order / 4); }

double condition_bound(double trace, double alpha) { return (trace + alpha) / alpha; }

bool krylov_path(const_matrix_f64 whole, const double * b, const std::vector<double> & alphas, matrix_f64 out,
                 const abort_check & aborted) {
    constexpr std::size_t checked_every = 8;
    const std::size_t n = whole.rows, most = krylov_steps(n);
    const double least = *std::min_element(alphas.begin(), alphas.end()), size = norm(n, b);
    for (std::size_t r = 0; r < out.rows; r++) std::fill_n(out.row(r), n, 0.0);
    if (size == 0) return true;
    if (!(least > 0)) return false;
    std::vector<double> basis(most * n), w(n);
    const matrix_f64 q(basis.data(), most, n);
    for (std::size_t j = 0; j < n; j++) q(0, j) = b[j] / size;
    lanczos_matrix t;
    while (true) {
        stop_if(aborted);
        const std::size_t j = t.size();
        gemv(1, whole, transpose::no, q.row(j), 0, w.data());
        t.diagonal.push_back(builtin::dot(n, w.data(), q.row(j)));
        orthogonalize(q.block(0, 0, j + 1, n), w.data());
        t.beside.push_back(norm(n, w.data()));
        if (t.norm() + least > largest_condition * least) return false;
        const bool full = j + 1 == most, closed = t.beside.back() <= 1e-15 * t.norm();
        if (closed || full || (j + 1) % checked_every == 0) {
            if (closed || (full && most == n) || has_converged(t, least)) break;
            if (full) return false;
        }
        for (std::size_t i = 0; i < n; i++) q(j + 1, i) = w[i] / t.beside.back();
    }
    std::vector<double> y, all;
    for (const double alpha : alphas) {
        t.solve(alpha, size, y);
        all.insert(all.end(), y.begin(), y.end());
    }
    gemm(1, {all.data(), alphas.size(), t.size()}, transpose::no, q.block(0, 0, t.size(), n), transpose::no, 0, out);
    return true;
}

}  // namespace llama_steer::ridge
