#include "lanczos.h"

#include "blas.h"
#include "builtin/builtin.h"

#include <algorithm>
#include <cmath>

namespace llama_steer::ridge {

namespace {

double length(std::size_t n, const double * x) { return std::sqrt(builtin::dot(n, x, x)); }

/// w -= Q Q^T w, twice: one pass leaves rounding in proportion to what it removed.
void orthogonalize(const_matrix_f64 q, double * w) {
    std::vector<double> along(q.rows);
    for (int pass = 0; pass < 2; pass++) {
        gemv(1, q, transpose::no, w, 0, along.data());
        gemv(-1, q, transpose::yes, along.data(), 1, w);
    }
}

}  // namespace

lanczos::lanczos(std::size_t n, const double * b, std::size_t most) : n_(n), size_(length(n, b)) {
    if (zero()) return;
    basis_.reserve((most + 1) * n);  // pages that no step comes to are never touched
    for (std::size_t i = 0; i < n; i++) basis_.push_back(b[i] / size_);
}

void lanczos::add(double * product) {
    const std::size_t j = steps();
    diagonal_.push_back(builtin::dot(n_, product, next()));
    orthogonalize({basis_.data(), j + 1, n_}, product);
    beside_.push_back(length(n_, product));
    closed_ = beside_.back() <= 1e-15 * norm();
    const double scale = closed_ ? 0 : 1 / beside_.back();
    for (std::size_t i = 0; i < n_; i++) basis_.push_back(product[i] * scale);
}

double lanczos::norm() const {
    double largest = 0;
    for (std::size_t j = 0; j < steps(); j++) {
        largest = std::max(largest, diagonal_[j] + beside_[j] + (j > 0 ? beside_[j - 1] : 0));
    }
    return largest;
}

/// |b| (T + alpha I)^-1 e_1
std::vector<double> lanczos::coordinates(double alpha) const {
    const std::size_t n = steps();
    std::vector<double> pivots(n), below(n), y(n, 0.0);
    y[0] = size_;
    for (std::size_t j = 0; j < n; j++) {
        pivots[j] = diagonal_[j] + alpha;
        if (j == 0) continue;
        below[j] = beside_[j - 1] / pivots[j - 1];
        pivots[j] -= below[j] * beside_[j - 1];
        y[j] -= below[j] * y[j - 1];
    }
    for (std::size_t j = 0; j < n; j++) y[j] /= pivots[j];
    for (std::size_t j = n - 1; j-- > 0;) y[j] -= below[j + 1] * y[j + 1];
    return y;
}

double lanczos::error_bound(double alpha) const {
    const std::vector<double> y = coordinates(alpha);
    return beside_.back() * std::fabs(y.back()) / (alpha * length(y.size(), y.data()));
}

void lanczos::solutions(const std::vector<double> & alphas, matrix_f64 out) const {
    for (std::size_t r = 0; r < out.rows; r++) std::fill_n(out.row(r), n_, 0.0);
    if (zero()) return;
    std::vector<double> all;
    for (const double alpha : alphas) {
        const std::vector<double> y = coordinates(alpha);
        all.insert(all.end(), y.begin(), y.end());
    }
    const const_matrix_f64 basis(basis_.data(), steps(), n_);
    gemm(1, {all.data(), alphas.size(), steps()}, transpose::no, basis, transpose::no, 0, out);
}

double condition_bound(double trace, double alpha) { return (trace + alpha) / alpha; }

}  // namespace llama_steer::ridge
