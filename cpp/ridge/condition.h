// How far a factored matrix is from singular.
#pragma once

#include "matrix_view.h"

#include <cstddef>
#include <functional>

namespace llama_steer::ridge {

/// The largest column sum of |A| for a symmetric A of which the lower triangle is given.
double symmetric_norm1(const_matrix_f64 lower);
double symmetric_norm1(basic_matrix_view<const float> lower);

/// An estimate of the 1-norm condition number |A| |A^-1| from the factor `l` of A = L L^T and |A|: a lower bound,
/// nearly always within a factor of 3. Costs a few solves. Infinite where the estimate overflows. Source: Hager, SIAM
/// J. Sci. Stat. Comput. 5 (1984); Higham, ACM TOMS 14 (1988), algorithm 674.
double condition_estimate(const_matrix_f64 l, double norm1);

/// The same where `solve` replaces x [order] by A^-1 x.
double condition_estimate(std::size_t order, double norm1, const std::function<void(double *)> & solve);

/// The smallest share of a diagonal element that elimination left of it: the least l_ii^2 / a_ii, a_ii being the
/// squared norm of row i of `l`. Rescaling features does not change it. Of a collinear column rounding leaves about
/// (order) * 2^-53.
double smallest_pivot_share(const_matrix_f64 l);

}  // namespace llama_steer::ridge
