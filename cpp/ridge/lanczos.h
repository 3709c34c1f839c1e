// Lanczos' method for (A + alpha I) x = b and every alpha > 0 at once, A symmetric and positive semidefinite: the
// orthonormal basis Q_j of b, Ab, .., A^(j-1) b has Q_j^T A Q_j = T_j tridiagonal, the same for A + alpha I, so that
//
//   x_j(alpha) = |b| Q_j (T_j + alpha I)^-1 e_1        |b - (A + alpha I) x_j| = beta_j |last element of |b| (..)^-1
//   e_1|
//
// With full reorthogonalisation; the smallest alpha converges last and is the one to watch.
// Sources: Paige and Saunders, SIAM J. Numer. Anal. 12 (1975); Jegerlehner, hep-lat/9612014, for many shifts.
#pragma once

#include "matrix_view.h"

#include <cstddef>
#include <vector>

namespace llama_steer::ridge {

/// A Krylov space of one right side, growing by a product with A at a time; the caller makes the products.
class lanczos {
public:
    /// b [n] is copied. For at most `most` steps; takes 8 n bytes for each that is made.
    lanczos(std::size_t n, const double * b, std::size_t most);

    /// Whether b is 0, and so is every solution: no product is needed.
    bool zero() const { return size_ == 0; }
    /// Whether the space holds the solution for every alpha, to within rounding.
    bool closed() const { return closed_; }
    std::size_t steps() const { return diagonal_.size(); }

    /// q [n], to be multiplied by A next. Valid until `add`.
    const double * next() const { return basis_.data() + steps() * n_; }
    /// Takes A q, [n], and overwrites it.
    void add(double * product);

    /// No less than the largest eigenvalue of T.
    double norm() const;
    /// |b - (A + alpha I) x| / (alpha |x|): a bound of the relative error of x, since no eigenvalue lies below alpha.
    double error_bound(double alpha) const;
    /// x for every alpha: out [alphas.size(), n].
    void solutions(const std::vector<double> & alphas, matrix_f64 out) const;

private:
    std::vector<double> coordinates(double alpha) const;

    std::size_t n_;
    double size_;  ///< |b|
    bool closed_ = false;
    std::vector<double> basis_;              ///< [steps + 1, n]
    std::vector<double> diagonal_, beside_;  ///< of T; beside_[j] couples j and j + 1, the last leads out of the space
};

/// (|A| + alpha) / alpha, an upper bound of the condition number, |A| being bounded by the trace of A.
double condition_bound(double trace, double alpha);

/// Solutions lose digits in proportion to the condition number; from here on more than 1e-10.
constexpr double largest_krylov_condition = 4e5;

}  // namespace llama_steer::ridge
