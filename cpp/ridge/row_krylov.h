// Ridge solutions from products with the rows alone: Lanczos on A = X^T X, one pass over the rows a step, for every
// alpha at once. Nothing of order d x d or n x n is ever formed, so that a fit which a ridge conditions well costs a
// few dozen passes rather than n d^2 operations. What it cannot give are the diagnostics that need the whole matrix.
#pragma once

#include "ridge_rows.h"

#include <cstddef>
#include <functional>
#include <vector>

namespace llama_steer::ridge {

/// Solves (X^T X + alpha I) b = X^T y for every target and alpha, all > 0: [alphas.size(), k, d]. Its relative error is
/// at most 1e-10, which one more pass proves for the least alpha from the residual: no eigenvalue lies below alpha, so
/// that |b - b'| <= |residual| / alpha.
///
/// Empty where that takes more than `most` steps (given up as soon as it is to be foreseen), where the condition number
/// does not let the accuracy be reached, or where the proof fails. Takes up to 8 d `most` k bytes. `progress` gets the
/// fraction done. Throws ABORTED.
std::vector<double> solve_by_rows(const ridge_rows & rows, const std::vector<double> & alphas, std::size_t most,
                                  const std::function<void(double)> & progress);

}  // namespace llama_steer::ridge
