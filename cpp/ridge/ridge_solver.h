// Ridge regression: what ridge_problem.h states, solved. The system is d x d or n x n, whichever is smaller; the rows
// are converted chunk by chunk and never lie in memory in float64.
//
// float64 solves are refined by residuals from the rows where the condition number asks for it, which brings them to
// what the data allow rather than what the squared condition of their Gram matrix does. float32 halves the
// memory of Gram matrix and factor, and is refined to the same accuracy; where that does not converge the work is done
// again in float64, and the notice says so.
#pragma once

#include "ridge_problem.h"

#include <vector>

namespace llama_steer::ridge {

/// One solution for each lambda of the list, or the one that the data choose. Nothing of the problem is kept or
/// changed. Callable from any thread.
///
/// A list of ten or more is solved from one reduction: a Krylov space for up to three targets without diagnostics,
/// where that converges to 1e-10, else the tridiagonal one, which serves leave_one_out too. That searches lambdas from
/// 1e-6 to 1e6 relative, in half decades and then to 0.1 % about the least mean of the targets' errors; it needs two
/// rows of positive weight.
///
/// Errors: as check_problem and check_options; OUT_OF_MEMORY (before anything is computed where options.memory_limit is
/// too small), SINGULAR_MATRIX (the system is singular to within rounding), ABORTED.
std::vector<ridge_solution> solve_ridge(const ridge_problem & problem, const ridge_options & options);

}  // namespace llama_steer::ridge
