// How well one number per sample (its projection on a direction) tells two classes apart. All in-sample: on the rows
// that a direction was fitted on these flatter it.
#pragma once

#include <vector>

namespace llama_steer::ridge {

/// P(a > b) + P(a = b) / 2 over all pairs (the Mann-Whitney statistic): 1 for perfect separation with `a` above, 0.5
/// for none. NaN where a class is empty.
double area_under_curve(const std::vector<double> & a, const std::vector<double> & b);

/// (mean a - mean b) / s, s^2 the pooled variance with n_a + n_b - 2 in the denominator (Cohen 1988, eq. 2.5.1). NaN
/// with fewer than three values in all or an empty class; infinite where the spread is 0.
double cohens_d(const std::vector<double> & a, const std::vector<double> & b);

/// Pearson's correlation of two sequences of equal length; NaN where one of them does not vary.
double correlation(const std::vector<double> & x, const std::vector<double> & y);

}  // namespace llama_steer::ridge
