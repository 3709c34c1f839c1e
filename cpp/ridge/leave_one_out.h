// How well a ridge fit predicts rows it has not seen, without fitting again.
//
//   H = X (X^T X + alpha I)^-1 X^T + u u^T        u = sqrt(w / W), with an intercept
//   error of row i when left out = e_i / (1 - h_ii),    e = y - X b,   trace H = degrees of freedom
//
// exactly, the intercept being fitted anew as well, for a fixed alpha. From the dual c = (X X^T + alpha I)^-1 y the
// same is c_i / r_ii with r the inverse without its part along u: no small difference of large numbers. Source: Golub,
// Heath and Wahba, Technometrics 21 (1979); Rifkin and Lippert, MIT-CSAIL-TR-2007-025, for the dual.
#pragma once

#include "ridge_factor.h"

#include <cstddef>
#include <vector>

namespace llama_steer::ridge {

/// Of one alpha.
struct fit_quality {
    double degrees_of_freedom = 0;
    std::vector<double> loo_error;  ///< [k] weighted means of squares; NaN where a row is predicted by no other
};

/// Adds up rows in any order.
class quality_sum {
public:
    quality_sum(const ridge_rows & rows, ridge_form form, double alpha, double gamma);

    /// Row i, with its diagonal of X (matrix)^-1 X^T (primal) or of the inverse (dual), and for each target its e_i
    /// (primal) or c_i (dual), at `stride` numbers from each other.
    void add(std::size_t i, double diagonal, const double * errors, std::size_t stride);
    fit_quality finish() const;

private:
    const ridge_rows & rows_;
    ridge_form form_;
    double alpha_, gamma_, freedom_;
    bool undefined_ = false;
    std::vector<double> squares_;
};

/// From a factor of the system and its unknowns x [k, order].
template <typename real>
fit_quality measure(const ridge_rows & rows, ridge_form form, double alpha, double gamma,
                    const ridge_factor<real> & factor, const_matrix_f64 x);

}  // namespace llama_steer::ridge
