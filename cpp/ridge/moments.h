// Weighted mean and covariance of chosen rows of a feature matrix.
//
//   mu    = sum_i w_i x_i / W                     W = sum_i w_i
//   Sigma = sum_i w_i (x_i - mu)(x_i - mu)^T / W
//
// Two passes: the mean first (as an offset from the first row, so that equal rows give exactly that row and a common
// offset costs no digits), then the covariance of the centred rows, chunk by chunk through syrk. All in float64.
#pragma once

#include "control.h"
#include "direction_rows.h"
#include "matrix_view.h"

#include <cstddef>
#include <vector>

namespace llama_steer::ridge {

/// Rows of a matrix and their weights, of equal number. A row may occur more than once.
struct weighted_rows {
    std::vector<std::size_t> rows;
    std::vector<double> weights;  ///< finite, >= 0

    std::size_t count() const { return rows.size(); }
    double total() const;
};

/// Every row of a matrix of `count` rows, weight 1.
weighted_rows all_rows(std::size_t count);

/// mu [cols]. Throws EMPTY_CLASS where the weights sum to 0, INVALID_ARGUMENT where a row is out of range, a weight is
/// negative or not finite, or the numbers of rows and weights differ. Expects finite features.
std::vector<double> weighted_mean(const row_set & features, const weighted_rows & chosen);

/// Adds scale * Sigma to the lower triangle of `sum` [cols, cols]; `mean` is the rows' weighted_mean (with another
/// vector, the second moment around it). Checks and errors
/// as above, and ABORTED. Works in 8 MB beside its arguments (2 KB d for d > 4096).
void add_covariance(const row_set & features, const weighted_rows & chosen, const std::vector<double> & mean,
                    double scale, matrix_f64 sum, const abort_check & aborted = {});

/// Both at once, for callers that want no more; the covariance [cols * cols] is stored whole.
struct moments {
    double weight_sum = 0;
    std::vector<double> mean;
    std::vector<double> covariance;
};

moments weighted_moments(const matrix_view & features, const weighted_rows & chosen, const abort_check & aborted = {});

/// Copies the lower triangle onto the upper.
void mirror_lower(matrix_f64 a);

}  // namespace llama_steer::ridge
