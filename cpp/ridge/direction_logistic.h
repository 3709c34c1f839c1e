// Weighted ridge logistic regression of the class on the hidden states:
//
//   minimize over v, b    sum_i w_i log(1 + exp(-y_i (v^T x_i + b))) / sum_i w_i  +  (lambda / 2) |v|^2
//
// over the rows of R (y = 1) and C (y = -1), w_i = |c_i|; b is not penalized. Newton's method with a line search; each
// step factors the Hessian by Cholesky (iteratively reweighted least squares). Source: Hastie, Tibshirani, Friedman,
// Elements of Statistical Learning (2nd edition), section 4.4. scikit-learn's C is 1 / (lambda n) for equal weights.
//
// It ends where the gradient by v is at most 1e-10 of what it is at v = 0, and that by b at most 1e-10.
#pragma once

#include "direction_problem.h"

#include <vector>

namespace llama_steer::ridge {

/// Rows of both classes, prepared once for several lambdas: around their weighted mean, and without their component
/// along `along` where that is given. Needs 2 n cols + 2 cols^2 float64.
class logistic_regression {
public:
    logistic_regression(const direction_problem & problem, const std::vector<double> & along,
                        const abort_check & aborted);

    /// Of the covariance of the rows: the unit of a relative lambda.
    double mean_eigenvalue() const { return mean_eigenvalue_; }

    /// v of the problem's width, from v = 0. Throws SINGULAR_MATRIX for lambda = 0, or where float64 comes no nearer to
    /// the optimum than 1e-6; ABORTED.
    direction_solution solve(double lambda) const;

private:
    struct state;
    double objective(const state & s, double lambda) const;
    state at(std::vector<double> v, double b) const;
    void gradient(state & s, double lambda) const;
    double newton_step(const state & s, double lambda, std::vector<double> & step, double & step_b) const;

    std::size_t cols_;
    const abort_check & aborted_;
    std::vector<double> rows_, weights_, classes_;
    double mean_eigenvalue_ = 0;
};

}  // namespace llama_steer::ridge
