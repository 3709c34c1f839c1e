// The formulae of ridge/direction.h once more, as plainly as they can be written.
#pragma once

#include "ridge_reference.h"

#include "ridge/direction.h"

#include <cmath>
#include <vector>

namespace llama_steer::reference {

struct sample {
    std::size_t n, d;
    std::vector<float> x;
    std::vector<double> scores;
};

/// Correlated noise, with a shift along a random direction in proportion to the score.
inline sample random_sample(std::size_t n, std::size_t d, unsigned seed) {
    gaussian next(seed);
    sample s{n, d, std::vector<float>(n * d), {}};
    std::vector<double> along(d);
    for (auto & value : along) value = next();
    for (std::size_t i = 0; i < n; i++) {
        const double score = i % 7 == 3 ? 0.05 : (i % 2 ? 1 : -1) * (0.15 + 0.85 * next.uniform());
        s.scores.push_back(score);
        double common = next();
        for (std::size_t j = 0; j < d; j++) {
            s.x[i * d + j] = static_cast<float>(3 + next() + common * std::cos(double(j)) + score * along[j]);
        }
    }
    return s;
}

inline std::vector<double> mean(const std::vector<float> & x, std::size_t d, const std::vector<double> & w) {
    std::vector<double> mu(d);
    double total = 0;
    for (std::size_t i = 0; i < w.size(); i++) {
        total += w[i];
        for (std::size_t j = 0; j < d; j++) mu[j] += w[i] * x[i * d + j];
    }
    for (auto & value : mu) value /= total;
    return mu;
}

inline matrix covariance(const std::vector<float> & x, std::size_t d, const std::vector<double> & w) {
    const auto mu = mean(x, d, w);
    matrix sigma(d, d);
    double total = 0;
    for (std::size_t i = 0; i < w.size(); i++) {
        total += w[i];
        for (std::size_t a = 0; a < d; a++) {
            for (std::size_t b = 0; b < d; b++) sigma(a, b) += w[i] * (x[i * d + a] - mu[a]) * (x[i * d + b] - mu[b]);
        }
    }
    for (auto & value : sigma.data) value /= total;
    return sigma;
}

inline double dot(const std::vector<double> & a, const std::vector<double> & b) {
    double sum = 0;
    for (std::size_t j = 0; j < a.size(); j++) sum += a[j] * b[j];
    return sum;
}

struct expected_direction {
    std::vector<double> v;  ///< unit norm
    double gap = 0, lambda = 0;
};

inline expected_direction direction(const sample & s, const ridge::direction_options & o,
                                    const std::vector<float> & keep) {
    using ridge::direction_method;
    using ridge::preserve_mode;
    const std::size_t d = s.d;
    std::vector<double> wr(s.n), wc(s.n);
    for (std::size_t i = 0; i < s.n; i++) {
        const double w = o.method == direction_method::weighted_ridge_mean_difference ? std::fabs(s.scores[i]) : 1;
        if (s.scores[i] > o.threshold) wr[i] = w;
        if (s.scores[i] < -o.threshold) wc[i] = w;
    }
    const std::vector<double> wp(keep.size() / d, 1.0);
    const auto mr = mean(s.x, d, wr), mc = mean(s.x, d, wc);
    std::vector<double> shift(d), v(d), u(d);
    for (std::size_t j = 0; j < d; j++) shift[j] = mr[j] - mc[j];
    if (!keep.empty()) {
        const auto mp = mean(keep, d, wp);
        for (std::size_t j = 0; j < d; j++) u[j] = mp[j] - mc[j];
    }
    v = shift;
    if (o.preserve == preserve_mode::project_out) {
        const double share = dot(u, shift) / dot(u, u);
        for (std::size_t j = 0; j < d; j++) v[j] -= share * u[j];
    }
    expected_direction out;
    if (o.method != direction_method::mean_difference) {
        matrix sigma = covariance(s.x, d, wc);
        if (o.preserve == preserve_mode::covariance_within || o.preserve == preserve_mode::covariance_pooled) {
            const matrix other = covariance(keep, d, wp);
            const double between = o.preserve == preserve_mode::covariance_pooled ? 0.25 : 0;
            for (std::size_t a = 0; a < d; a++) {
                for (std::size_t b = 0; b < d; b++)
                    sigma(a, b) = 0.5 * (sigma(a, b) + other(a, b)) + between * u[a] * u[b];
            }
        }
        double trace = 0;
        for (std::size_t j = 0; j < d; j++) trace += sigma(j, j);
        out.lambda = o.unit == ridge::lambda_unit::relative ? o.lambda * trace / double(d) : o.lambda;
        for (std::size_t j = 0; j < d; j++) sigma(j, j) += out.lambda;
        v = solve(sigma, v);
    }
    const double length = std::sqrt(dot(v, v));
    for (auto & value : v) value /= length;
    out.v = v;
    out.gap = dot(v, shift);
    return out;
}

}  // namespace llama_steer::reference
