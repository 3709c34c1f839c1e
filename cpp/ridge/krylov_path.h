// Every alpha from one Krylov space of a matrix that is there; row_krylov.h does it from rows.
#pragma once

#include "control.h"
#include "matrix_view.h"

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

}  // namespace llama_steer::ridge
