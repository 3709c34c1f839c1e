// Krylov spaces of a symmetric matrix A and a vector b: span { b, A b, A^2 b, ... }. Adding a multiple of the identity
// to A leaves them as they are, so that one of them serves every lambda.
#pragma once

#include "control.h"
#include "matrix_view.h"

#include <cstddef>
#include <vector>

namespace llama_steer::ridge {

/// Q A Q^T = T, tridiagonal, for the rows q of Q. Source: Lanczos (1950), with full reorthogonalization; Golub and Van
/// Loan, Matrix Computations, section 10.1 (4th edition).
struct krylov_space {
    std::size_t width = 0;
    std::vector<double> basis;            ///< Q [size][width], orthonormal to rounding
    std::vector<double> diagonal, below;  ///< of T; below[k] couples steps k and k + 1, the last one is what is left

    std::size_t size() const { return diagonal.size(); }
    /// The vector of these coordinates.
    std::vector<double> expand(const std::vector<double> & y) const;
};

/// Solutions of (A + lambda_i I) v_i = b for all i at once, for positive semidefinite A [d, d] (stored whole).
struct shifted_solutions {
    std::vector<std::vector<double>> vectors;  ///< one per lambda; empty where it has not converged
    std::vector<double> condition;             ///< (largest + lambda) / (smallest + lambda) of the eigenvalues of T
};

/// Each solution has an error of at most 1e-10 of its length, by the bound |residual| / lambda, or is left out; lambda
/// 0 always is. Takes `most_steps` steps at most, of which each costs one product with A and some with the basis:
/// most_steps * d float64 beside A. Throws ABORTED.
shifted_solutions solve_shifted(const_matrix_f64 a, const std::vector<double> & b, const std::vector<double> & lambdas,
                                std::size_t most_steps, const abort_check & aborted = {});

/// The unit eigenvector of the largest eigenvalue of a positive semidefinite A [d, d] (stored whole), to a residual of
/// 1e-12 of that eigenvalue, with the sign that gives it a product >= 0 with `start`. Empty where the two largest lie
/// too close to be told apart, or A is 0. Throws ABORTED.
std::vector<double> largest_eigenvector(const_matrix_f64 a, const std::vector<double> & start,
                                        const abort_check & aborted = {});

}  // namespace llama_steer::ridge
