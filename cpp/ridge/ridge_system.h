// The linear systems that a ridge problem comes down to, X being its centred, weighted rows:
//
//   primal   (X^T X + alpha I) b = X^T y                      d unknowns, the coefficients
//   dual     (X X^T + alpha I) c = y,   b = X^T c             n unknowns
//
// With an intercept u = sqrt(w / W) spans the null space of X X^T, to which y is orthogonal: the dual matrix gets
// gamma u u^T, gamma = tr / n, which changes no solution and keeps small alpha harmless.
#pragma once

#include "ridge_rows.h"

#include <cstddef>
#include <vector>

namespace llama_steer::ridge {

/// Sums over the rows that choose lambda.
struct gram_facts {
    double trace = 0;    ///< of X^T X
    double squared = 0;  ///< |X^T X|_F^2; NaN of a float32 matrix
    double fourth = 0;   ///< sum of |row|^4; NaN of a float32 matrix
    double gamma = 0;    ///< as above; 0 in the primal
};

/// X^T X or X X^T with gamma u u^T, lower triangle, without alpha.
template <typename real>
struct ridge_gram {
    ridge_form form = ridge_form::primal;
    std::size_t order = 0;
    std::vector<real> values;  ///< [order, order]
    gram_facts facts;

    basic_matrix_view<real> view() { return {values.data(), order, order}; }
};

/// One pass over the rows. Throws ABORTED, std::bad_alloc. `progress` gets the fraction done.
template <typename real>
ridge_gram<real> make_gram(const ridge_rows & rows, ridge_form form, const std::function<void(double)> & progress);

/// Row t: X^T y or y of target t, [k, order].
std::vector<double> right_sides(const ridge_rows & rows, ridge_form form);

/// out = right side - (matrix + alpha I) x, with the matrix taken from the rows and gamma rather than from its sums. x
/// and out [alphas.size() * k, order], the rows of each alpha together.
void residual_of(const ridge_rows & rows, ridge_form form, double gamma, const std::vector<double> & alphas,
                 const_matrix_f64 x, matrix_f64 out);

/// [x.rows, d]: the coefficients that unknowns x stand for.
std::vector<double> coefficients_of(const ridge_rows & rows, ridge_form form, const std::vector<double> & x);

}  // namespace llama_steer::ridge
