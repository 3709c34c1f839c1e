// Short ways to pose a fit and to compare what comes of it, for the tests of fits.
#pragma once

#include "ridge_fit_reference.h"

#include "ridge/direction_problem.h"
#include "ridge/directions.h"

#include <cmath>
#include <vector>

namespace llama_steer::ridge {

inline constexpr auto md = direction_method::mean_difference;
inline constexpr auto rmd = direction_method::ridge_mean_difference;
inline constexpr auto wrmd = direction_method::weighted_ridge_mean_difference;
inline constexpr auto pca = direction_method::principal_component;
inline constexpr auto lda = direction_method::linear_discriminant;
inline constexpr auto logistic = direction_method::logistic;

inline direction_options options_of(direction_method method, double lambda = 1, lambda_rule rule = lambda_rule::given) {
    direction_options o;
    o.method = method;
    o.lambda = lambda;
    o.rule = rule;
    return o;
}

inline matrix_view view_of(const reference::sample & s) { return {s.x.data(), s.n, s.d}; }

inline matrix_view view_of(const std::vector<float> & keep, std::size_t d) {
    return keep.empty() ? matrix_view() : matrix_view(keep.data(), keep.size() / d, d);
}

inline direction fitted(const reference::sample & s, const direction_options & o,
                        const std::vector<float> & keep = {}) {
    return fit_direction(view_of(s), s.scores.data(), s.n, o, view_of(keep, s.d));
}

inline std::vector<direction> path_of(const reference::sample & s, const direction_options & o,
                                      const std::vector<double> & lambdas, const std::vector<float> & keep = {}) {
    return fit_direction_path(view_of(s), s.scores.data(), s.n, o, lambdas, view_of(keep, s.d));
}

/// |a - b| for unit vectors, of which one is float32.
inline double distance(const std::vector<float> & a, const std::vector<double> & b) {
    double sum = 0;
    for (std::size_t j = 0; j < b.size(); j++) sum += (a[j] - b[j]) * (a[j] - b[j]);
    return std::sqrt(sum);
}

inline double distance(const std::vector<float> & a, const std::vector<float> & b) {
    return distance(a, std::vector<double>(b.begin(), b.end()));
}

/// A problem over all rows of a sample with scores beyond the threshold, as fit_direction poses it where rows are many.
inline direction_problem problem_of(const reference::sample & s, bool weighted) {
    direction_problem p;
    p.features = view_of(s);
    p.scores = s.scores.data();
    p.width = s.d;
    for (std::size_t i = 0; i < s.n; i++) {
        if (std::fabs(s.scores[i]) <= 0.1) continue;
        auto & side = s.scores[i] > 0 ? p.refusing : p.complying;
        side.rows.push_back(i);
        side.weights.push_back(weighted ? std::fabs(s.scores[i]) : 1);
    }
    return p;
}

/// Mean eigenvalue of the weighted total covariance.
inline double mean_eigenvalue(const std::vector<std::vector<double>> & rows, const std::vector<double> & w) {
    const std::size_t d = rows.front().size();
    double total = 0, sum = 0;
    std::vector<double> mean(d);
    for (std::size_t i = 0; i < rows.size(); i++) {
        total += w[i];
        for (std::size_t j = 0; j < d; j++) mean[j] += w[i] * rows[i][j];
    }
    for (std::size_t i = 0; i < rows.size(); i++) {
        for (std::size_t j = 0; j < d; j++) sum += w[i] * std::pow(rows[i][j] - mean[j] / total, 2);
    }
    return sum / total / double(d);
}

struct everything {
    std::vector<std::vector<double>> rows;
    std::vector<double> weights, classes;  ///< weights sum to 1
};

inline everything all_of(const reference::labelled & from) {
    everything out{from.refusing, from.refusing_weights, std::vector<double>(from.refusing.size(), 1.0)};
    out.rows.insert(out.rows.end(), from.complying.begin(), from.complying.end());
    out.weights.insert(out.weights.end(), from.complying_weights.begin(), from.complying_weights.end());
    out.classes.resize(out.rows.size(), -1.0);
    double total = 0;
    for (const double w : out.weights) total += w;
    for (auto & w : out.weights) w /= total;
    return out;
}

inline std::vector<double> preserve_shift(const reference::sample & s, const std::vector<float> & keep) {
    std::vector<double> wc(s.n);
    for (std::size_t i = 0; i < s.n; i++) wc[i] = s.scores[i] < -0.1 ? -s.scores[i] : 0;
    auto u = reference::mean(keep, s.d, std::vector<double>(keep.size() / s.d, 1.0));
    const auto mc = reference::mean(s.x, s.d, wc);
    for (std::size_t j = 0; j < s.d; j++) u[j] -= mc[j];
    return u;
}

}  // namespace llama_steer::ridge
