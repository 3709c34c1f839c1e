// Scores cut into the classes that a direction tells apart.
#pragma once

#include "direction.h"
#include "moments.h"

namespace llama_steer::ridge {

struct score_classes {
    weighted_rows refusing, complying;
    std::size_t neutral = 0;
};

/// Weights are 1 for mean_difference and ridge_mean_difference, |c| for every other method. Throws NOT_FINITE or
/// INVALID_ARGUMENT for a score that is not in [-1, 1], EMPTY_CLASS with the counts and the range of scores seen.
score_classes split_by_score(const double * scores, std::size_t count, const direction_options & options);

}  // namespace llama_steer::ridge
