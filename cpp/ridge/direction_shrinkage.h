// The covariance that a direction is solved with, and the rules that choose its lambda.
//
// A rule by shrinkage gives s in [0, 1] such that (1 - s) Sigma + s mu I, mu = tr(Sigma) / d, is the better estimate of
// the covariance behind the sample; that is Sigma + lambda I but for a factor, with lambda = mu s / (1 - s). With N the
// number of rows (Kish's effective number (sum w)^2 / sum w^2 where they have weights) and |Sigma|^2 the sum of squares
// of its elements:
//
//   oas          s = (|Sigma|^2 / d^2 + mu^2) / ((N + 1) (|Sigma|^2 / d^2 - mu^2 / d)), at most 1. As scikit-learn has
//                it; source: Chen, Wiesel, Eldar, Hero, IEEE Trans. Signal Processing 58 (2010), eq. 23
//   ledoit_wolf  s = beta / delta, beta = (sum w_i |x_i - mu|^4 / sum w_i - |Sigma|^2) / N, at most delta, delta =
//                |Sigma|^2 - d mu^2. Source: Ledoit, Wolf, J. Multivariate Analysis 88 (2004). Where the preserve set's
//                mean shift joins Sigma, beta leaves it out.
//
//   leave_one_out takes the ridge regression of the scores c_i on the rows x_i of R and C (weights w_i, sum 1; with
//                intercept): the lambda, of 25 from 1e-4 to 1e4 times its own mean eigenvalue, for which the weighted
//                squares of e_i / (1 - h_ii), the errors of regressions that each leave one row out, sum up to the
//                least; that multiple of the mean eigenvalue is used for the direction. Source: Golub, Heath, Wahba,
//                Technometrics 21 (1979)
#pragma once

#include "direction_problem.h"

#include <cstddef>
#include <vector>

namespace llama_steer::ridge {

/// Sigma of a problem and what the rules need to know of it.
struct direction_covariance {
    std::vector<double> sigma;  ///< [cols, cols], the lower triangle
    double trace = 0;
    double squares = 0;         ///< |Sigma|^2
    double within_squares = 0;  ///< the same without the preserve set's mean shift
    double fourth = 0;          ///< sum w_i |x_i - mu|^4 / sum w_i; only where it was asked for
    double effective = 0;       ///< N
    std::size_t rows = 0;
};

/// Throws ABORTED.
direction_covariance covariance_of(const direction_problem & problem, const direction_options & options,
                                   const class_means & means, const abort_check & aborted);

/// s of `oas` and `ledoit_wolf`; `width` is d.
double oas_shrinkage(const direction_covariance & covariance, std::size_t width);
double ledoit_wolf_shrinkage(const direction_covariance & covariance, std::size_t width);

/// The multiple of the mean eigenvalue that `leave_one_out` chooses. Throws ABORTED.
double leave_one_out_multiple(const direction_problem & problem, const abort_check & aborted);

/// Sum of w_i (e_i / (1 - h_ii))^2 for this multiple of the mean eigenvalue: what leave_one_out_multiple minimizes.
double leave_one_out_error(const direction_problem & problem, double multiple, const abort_check & aborted = {});

}  // namespace llama_steer::ridge
