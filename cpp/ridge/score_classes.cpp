#include "score_classes.h"

#include "base/error.h"
#include "finite.h"

#include <algorithm>
#include <cmath>
#include <sstream>

namespace llama_steer::ridge {

namespace {

void check_range(const double * scores, std::size_t count) {
    for (std::size_t i = 0; i < count; i++) {
        if (std::fabs(scores[i]) <= 1) continue;
        std::ostringstream text;
        text << "scores[" << i << "] is " << scores[i] << ": scores lie in [-1, 1]";
        throw error(error_code::INVALID_ARGUMENT, text.str());
    }
}

void check_filled(const score_classes & classes, const double * scores, std::size_t count, double threshold) {
    if (classes.refusing.count() && classes.complying.count()) return;
    const auto range = std::minmax_element(scores, scores + count);
    std::ostringstream text;
    text << "a direction needs rows of both classes, but " << classes.refusing.count() << " of " << count
         << " rows refuse (score > " << threshold << ") and " << classes.complying.count() << " comply (score < "
         << -threshold << "); the scores range from " << *range.first << " to " << *range.second;
    throw error(error_code::EMPTY_CLASS, text.str());
}

}  // namespace

score_classes split_by_score(const double * scores, std::size_t count, const direction_options & options) {
    check_finite(scores, count, "scores");
    check_range(scores, count);
    const bool weighted = options.method != direction_method::mean_difference &&
                          options.method != direction_method::ridge_mean_difference;
    score_classes classes;
    for (std::size_t i = 0; i < count; i++) {
        const double score = scores[i];
        if (std::fabs(score) <= options.threshold) {
            classes.neutral++;
            continue;
        }
        weighted_rows & side = score > 0 ? classes.refusing : classes.complying;
        side.rows.push_back(i);
        side.weights.push_back(weighted ? std::fabs(score) : 1.0);
    }
    check_filled(classes, scores, count, options.threshold);
    return classes;
}

}  // namespace llama_steer::ridge
