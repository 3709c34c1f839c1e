// One reduction for every alpha: the matrix of a ridge system is Q T Q^T with T tridiagonal, so that
//
//   (Q T Q^T + alpha I)^-1 = Q (T + alpha I)^-1 Q^T
//
// and after Q, each alpha costs O(order) per right side. Source: Elden, BIT 17 (1977), for the same on X itself.
#pragma once

#include "leave_one_out.h"

#include <cstddef>
#include <vector>

namespace llama_steer::ridge {

/// Callable from one thread at a time.
class tridiagonal_system {
public:
    /// Takes a Gram matrix and keeps its memory.
    explicit tridiagonal_system(ridge_gram<double> gram);

    ridge_form form() const { return gram_.form; }
    std::size_t order() const { return gram_.order; }
    const gram_facts & facts() const { return gram_.facts; }

    /// Each row b of `b` becomes Q^T b, or Q b.
    void to_basis(matrix_f64 b) const;
    void from_basis(matrix_f64 b) const;

    /// For s [k, order] in the basis: out [alphas.size() * k, order] = (T + alpha I)^-1 s, the rows of each alpha
    /// together. Throws SINGULAR_MATRIX where that is not positive definite.
    void solve(const std::vector<double> & alphas, const_matrix_f64 s, matrix_f64 out, std::size_t rows,
               std::size_t cols) const;

    /// The same in place, where the rows of b are already one group for each alpha.
    void solve_groups(const std::vector<double> & alphas, matrix_f64 b, std::size_t rows, std::size_t cols) const;

    /// Estimated 1-norm condition number of T + alpha I.
    double condition(double alpha) const;

    /// The quality of every alpha from one pass over the rows; s [k, order] are the right sides in the basis.
    std::vector<fit_quality> measure(const ridge_rows & rows, const std::vector<double> & alphas,
                                     const_matrix_f64 s) const;

private:
    /// T + alpha I = L D L^T, L having `below` beside its unit diagonal.
    struct factor {
        std::vector<double> pivots, below;  ///< [order], [order - 1]
        bool valid = true;

        void solve(double * b) const;
    };
    factor factor_of(double alpha) const;
    factor checked(double alpha, std::size_t rows, std::size_t cols) const;

    ridge_gram<double> gram_;
    std::vector<double> diagonal_, beside_, scales_;
};

}  // namespace llama_steer::ridge
