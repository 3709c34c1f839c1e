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

/// Spearman's: Pearson's of the ranks, equal values sharing the mean of theirs; NaN where one does not vary.
double rank_correlation(const std::vector<double> & x, const std::vector<double> & y);

/// The share of |v|^2 in its largest elements, `part` of all of them in number (rounded up).
double top_share(const std::vector<double> & v, double part);

/// (sum v^2)^2 / sum v^4: 1 for a vector of one element that is not 0, d for d equal ones.
double participation_ratio(const std::vector<double> & v);

}  // namespace llama_steer::ridge
