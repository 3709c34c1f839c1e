// Diagnostics that fit a direction again on parts of its rows, or on rows drawn from them.
//
// Both keep the classes apart: each fold gets its share of R, C, the neutral rows and the preserve set, and a bootstrap
// sample draws from each class as many rows as it has, with replacement. Drawn by a generator of our own, so that a
// seed gives the same everywhere.
#pragma once

#include "direction_problem.h"

#include <vector>

namespace llama_steer::ridge {

/// For each lambda the mean over the folds of what a fold's rows say of the direction fitted on all others. `neutral`:
/// rows of neither class, which count in the correlations. Throws as solve_directions, EMPTY_CLASS where a class has
/// fewer rows than folds.
std::vector<separation> cross_validate(const direction_problem & problem, const direction_options & options,
                                       const std::vector<double> & lambdas, const std::vector<std::size_t> & neutral,
                                       const abort_check & aborted, const fit_step & step);

/// For each lambda the mean cosine of every two directions fitted on bootstrap samples. Throws as solve_directions.
std::vector<double> bootstrap_stability(const direction_problem & problem, const direction_options & options,
                                        const std::vector<double> & lambdas, const abort_check & aborted,
                                        const fit_step & step);

/// Of projections [features.rows] with scores; the rows of each class by number, and the neutral ones.
separation separation_of(const std::vector<double> & projections, const double * scores,
                         const std::vector<std::size_t> & refusing, const std::vector<std::size_t> & complying,
                         const std::vector<std::size_t> & neutral);

/// x_i^T v for every row.
std::vector<double> project_rows(const row_set & rows, const std::vector<double> & v);

}  // namespace llama_steer::ridge
