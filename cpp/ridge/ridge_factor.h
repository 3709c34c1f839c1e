// Matrix + alpha I, factored: what the solves, the leverages and the refinement of a ridge system go through.
#pragma once

#include "ridge_system.h"

#include <cstddef>
#include <vector>

namespace llama_steer::ridge {

/// A Cholesky factor, in float64 or float32; right sides are float64 either way. Callable from one thread at a time.
template <typename real>
class ridge_factor {
public:
    /// Takes the lower triangle of a system of `order` unknowns, overwrites it and keeps it. Where it is not positive
    /// definite to within rounding `valid` is false and nothing else may be called.
    ridge_factor(std::vector<real> values, std::size_t order, double alpha, std::size_t summed_rows);

    bool valid() const { return valid_; }
    /// Each row b of `b` [any, order] becomes the solution.
    void solve(matrix_f64 b) const;
    /// Each row b of `b` [any, order - from] becomes L^-1 b, for the trailing block of L from `from` on: what the
    /// solution of a right side that is 0 before `from` takes.
    void whiten(matrix_f64 b, std::size_t from) const;
    /// Estimated 1-norm condition number.
    double condition() const;

private:
    basic_matrix_view<const real> view() const { return {values_.data(), order_, order_}; }

    std::vector<real> values_;
    std::size_t order_;
    double norm1_ = 0;
    bool valid_ = false;
};

/// What a refinement came to.
struct refinement {
    std::size_t steps = 0;  ///< corrections applied
    double last = 0;        ///< size of the last one looked at, or of the next to be expected, relative to the solution
};

/// Improves x [alphas.size() * k, order] by residuals from the rows in float64: at most `most` corrections, while each
/// is less than a quarter of the last and the next is expected to be more than rounding. `solve(rhs)` applies the
/// approximate inverse in place. Source: Higham, "Accuracy and Stability of Numerical Algorithms", 2nd ed., chapter 12;
/// with residuals from the data, Björck, BIT 7 (1967).
refinement refine(const ridge_rows & rows, ridge_form form, double gamma, const std::vector<double> & alphas,
                  const std::function<void(matrix_f64)> & solve, std::size_t most, matrix_f64 x);

}  // namespace llama_steer::ridge
