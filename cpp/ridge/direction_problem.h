// A fit with its data sorted into classes, as its parts work on it: in the features' own dimensions, or in the
// coordinates of the basis of fewer rows.
#pragma once

#include "direction.h"
#include "direction_rows.h"
#include "moments.h"

#include <cstddef>
#include <vector>

namespace llama_steer::ridge {

struct direction_problem {
    row_set features, preserve;
    weighted_rows refusing, complying;  ///< of features
    weighted_rows kept;                 ///< of preserve
    const double * scores = nullptr;    ///< of features' rows
    std::size_t width = 0;              ///< d, of which the mean eigenvalue counts; cols() may be fewer
    double offset = 0;                  ///< length of what was subtracted from every row

    std::size_t cols() const { return features.cols(); }
    bool reduced() const { return cols() < width; }
};

inline bool joins_covariance(preserve_mode mode) {
    return mode == preserve_mode::covariance_within || mode == preserve_mode::covariance_pooled ||
           mode == preserve_mode::pooled_and_projected;
}

inline bool projects_out(preserve_mode mode) {
    return mode == preserve_mode::project_out || mode == preserve_mode::pooled_and_projected;
}

/// Whether the method inverts a covariance.
inline bool has_covariance(direction_method method) {
    return method == direction_method::ridge_mean_difference ||
           method == direction_method::weighted_ridge_mean_difference ||
           method == direction_method::linear_discriminant;
}

/// Means of the classes, and what the direction is made of.
struct class_means {
    std::vector<double> refusing, complying, preserve;
    std::vector<double> shift;       ///< mu_R - mu_C
    std::vector<double> along;       ///< unit vector along mu_P - mu_C where that is projected out; else empty
    std::vector<double> kept_shift;  ///< shift without its component along `along`
};

/// Throws INVALID_ARGUMENT where the means coincide, or differ only along the preserve set's shift.
class_means means_of(const direction_problem & problem, preserve_mode mode);

/// x := x - (along^T x) along, twice: one pass leaves rounding in proportion to what it removed. Nothing for an empty
/// `along`.
void project_away(const std::vector<double> & along, double * x);

/// One direction in the coordinates of the problem, of any length, with what direction says of the same names.
struct direction_solution {
    std::vector<double> vector;
    double lambda = 0, shrinkage = 0, condition = 0;
};

/// One for each of `lambdas` (one, which is not read, for methods without lambda and rules). Throws as fit_direction.
std::vector<direction_solution> solve_directions(const direction_problem & problem, const direction_options & options,
                                                 const std::vector<double> & lambdas, const abort_check & aborted);

}  // namespace llama_steer::ridge
