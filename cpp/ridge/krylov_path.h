// Every alpha from one Krylov space: for a single right side b, Lanczos' orthonormal basis Q_j of b, Ab, .., A^(j-1) b
// has Q_j^T A Q_j = T_j tridiagonal, the same for A + alpha I, so that
//
//   x_j(alpha) = |b| Q_j (T_j + alpha I)^-1 e_1        |b - (A + alpha I) x_j| = beta_j |last element of |b| (..)^-1
//   e_1|
//
// for all alpha at once. With full reorthogonalisation; the smallest alpha converges last and is the one watched.
// Sources: Paige and Saunders, SIAM J. Numer. Anal. 12 (1975); Jegerlehner, hep-lat/9612014, for many shifts.
#pragma once

#include "ridge_system.h"

#include <cstddef>
#include <vector>

namespace llama_steer::ridge {

/// The most steps taken for a system of that order: all for a small one, else a quarter.
std::size_t krylov_steps(std::size_t order);

/// Solves (A + alpha I) x = b for A = `whole`, both triangles stored, b [order] and every alpha: out [alphas.size(),
/// order]. False, with `out` unspecified, where that does not converge, or where (|A| + alpha) / alpha, an upper bound
/// of the condition number, exceeds 4e5: the solution would lose more than 1e-10. Takes krylov_steps(order) * order
/// numbers. Throws ABORTED.
bool krylov_path(const_matrix_f64 whole, const double * b, const std::vector<double> & alphas, matrix_f64 out,
                 const abort_check & aborted);

/// (|A| + alpha) / alpha, |A| being bounded by the trace of A.
double condition_bound(double trace, double alpha);

}  // namespace llama_steer::ridge
