// The search for the alpha of the least leave-one-out error.
#pragma once

#include "tridiagonal_system.h"

namespace llama_steer::ridge {

/// Searches 1e-6 to 1e6 times tr(G) / d in half decades, then the interval about the least mean of the targets' errors
/// three times, each ten times as fine. s [k, order] are the right sides in the basis of `system`. Throws
/// INVALID_ARGUMENT (fewer than two rows, or one that no other predicts), SINGULAR_MATRIX (G is 0), ABORTED.
double least_error_alpha(const ridge_rows & rows, const tridiagonal_system & system, const_matrix_f64 s);

}  // namespace llama_steer::ridge
