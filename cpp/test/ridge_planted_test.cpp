// Data with a planted direction in correlated noise: which fit recovers it, and whether that is what theory says.
//
//   x = c beta p + sum_k s_k g_k u_k + g        p, u_k orthonormal; g standard normal; c alternates in sign
//
// In the population every method here finds p; a sample's means err along the u_k most. MD keeps that error, a ridge
// fit divides it by s_k^2 + 1 + lambda.

#include "check.h"
#include "ridge_planted_theory.h"
#include "ridge_reference.h"

#include "ridge/direction.h"

#include <cmath>
#include <cstdio>

using namespace llama_steer;
using namespace llama_steer::ridge;

namespace {

constexpr std::size_t width = 128, confounders = 8, seeds = 8;
constexpr double most_variance = 100;

double variance_along(std::size_t k) { return most_variance / double(k + 1); }

using vector = std::vector<double>;

double dot(const vector & a, const vector & b) {
    double sum = 0;
    for (std::size_t j = 0; j < a.size(); j++) sum += a[j] * b[j];
    return sum;
}

std::vector<vector> orthonormal(std::size_t count, reference::gaussian & next) {
    std::vector<vector> out;
    while (out.size() < count) {
        vector v(width);
        for (auto & value : v) value = next();
        for (int pass = 0; pass < 2; pass++) {
            for (const auto & other : out) {
                const double share = dot(v, other);
                for (std::size_t j = 0; j < width; j++) v[j] -= share * other[j];
            }
        }
        const double length = std::sqrt(dot(v, v));
        for (auto & value : v) value /= length;
        out.push_back(v);
    }
    return out;
}

struct planted_sample {
    std::vector<float> x;
    vector scores, planted;

    planted_sample(std::size_t n, double beta, unsigned seed) {
        reference::gaussian next(seed);
        const auto axes = orthonormal(confounders + 1, next);
        planted = axes[0];
        for (std::size_t i = 0; i < n; i++) {
            scores.push_back((i % 2 ? 1 : -1) * (0.2 + 0.8 * next.uniform()));
            vector row(width);
            for (std::size_t j = 0; j < width; j++) row[j] = scores[i] * beta * planted[j] + next();
            for (std::size_t k = 0; k < confounders; k++) {
                const double strength = std::sqrt(variance_along(k)) * next();
                for (std::size_t j = 0; j < width; j++) row[j] += strength * axes[k + 1][j];
            }
            for (const double value : row) x.push_back(float(value));
        }
    }

    double cosine(const direction_options & o) const {
        const auto v = fit_direction({x.data(), scores.size(), width}, scores.data(), scores.size(), o).vector;
        return dot(vector(v.begin(), v.end()), planted);
    }
};

double mean_cosine(std::size_t n, double beta, const direction_options & o) {
    double sum = 0;
    for (unsigned seed = 0; seed < seeds; seed++) sum += planted_sample(n, beta, 100 + seed).cosine(o) / double(seeds);
    return sum;
}

/// What a fit with the population's own Sigma would reach: the root of the expected share of |v|^2 along p. `lambda` in
/// multiples of the mean eigenvalue; infinite: MD.
double theory(std::size_t n, double beta, double lambda) {
    const bool plain = std::isinf(lambda);
    const double half = double(n) / 2;
    // |c| is uniform on [0.2, 1]: mean 0.6, mean square 0.4133; weights spread the shift and the noise of the means.
    const double mean = 0.6, square = 0.36 + 0.64 / 12;
    const double shift = 2 * beta * (plain ? mean : square / mean);
    const double noise = 2 / half * (plain ? 1 : square / (mean * mean));
    double trace = double(width);
    for (std::size_t k = 0; k < confounders; k++) trace += variance_along(k);
    const double unit = trace / double(width);
    const auto factor = [&](double variance) { return plain ? 1 : 1 / (variance + 1 + lambda * unit); };
    const double signal = std::pow(shift * factor(0), 2);
    double error = double(width - confounders) * noise * std::pow(factor(0), 2);
    for (std::size_t k = 0; k < confounders; k++) {
        error += noise * (variance_along(k) + 1) * std::pow(factor(variance_along(k)), 2);
    }
    return std::sqrt(signal / (signal + error));
}

/// The same with the covariance of a sample, which has noise of its own.
reference::planted_theory sample_theory(std::size_t n, double beta) {
    const double half = double(n) / 2, mean = 0.6, square = 0.36 + 0.64 / 12;
    const double cube = (1 - std::pow(0.2, 4)) / 4 / 0.8, weighted = square / mean;
    reference::planted_theory out;
    out.shift = 2 * beta * weighted;
    out.noise = 2 / half * square / (mean * mean);
    out.rows = half * mean * mean / square;
    // Scores differ within a class, and so do its rows along p.
    out.variances.push_back(1 + beta * beta * (cube / mean - weighted * weighted));
    for (std::size_t k = 0; k < confounders; k++) out.variances.push_back(1 + variance_along(k));
    out.variances.resize(width, 1);
    return out;
}

direction_options method(direction_method m, lambda_rule rule = lambda_rule::given) {
    direction_options o;
    o.method = m;
    o.rule = rule;
    return o;
}

}  // namespace

TEST(ridge_wrmd_recovers_a_planted_direction_where_theory_says_so) {
    const auto md = method(direction_method::mean_difference);
    const auto wrmd = method(direction_method::weighted_ridge_mean_difference);
    std::size_t claimed = 0;
    for (const double beta : {1.0, 3.0}) {
        for (const std::size_t n : {32, 64, 128, 256, 512, 1024}) {
            const double mean = mean_cosine(n, beta, md), ridge = mean_cosine(n, beta, wrmd);
            CHECK(ridge > mean - 0.02);
            if (theory(n, beta, 1) < theory(n, beta, INFINITY) + 0.02) continue;
            claimed++;
            CHECK(ridge > mean + 0.01);
        }
        // MD has nothing to estimate but the means, so that theory gives its figure as well.
        CHECK_NEAR(mean_cosine(1024, beta, md), theory(1024, beta, INFINITY), 0.06);
    }
    CHECK(claimed >= 8);
}

TEST(ridge_oas_is_never_much_worse_than_the_mean_difference) {
    const auto md = method(direction_method::mean_difference);
    const auto oas = method(direction_method::weighted_ridge_mean_difference, lambda_rule::oas);
    for (const std::size_t n : {8, 16, 32, 64, 96, 128, 192, 256, 384, 512, 1024, 2048}) {
        CHECK(mean_cosine(n, 1, oas) > mean_cosine(n, 1, md) - 0.02);
    }
}

// OAS estimates the covariance best, which the eight large variances decide: it regularizes little, and the inverse of
// the other 120 has noise in proportion to the direction itself. So no n tested makes it better than MD for a strong
// direction, once MD is good; theory says where, and by how much.
TEST(ridge_oas_falls_behind_the_mean_difference_where_theory_says_so) {
    const auto md = method(direction_method::mean_difference);
    const auto oas = method(direction_method::weighted_ridge_mean_difference, lambda_rule::oas);
    std::size_t behind = 0, ahead = 0;
    for (const double beta : {1.0, 3.0}) {
        for (const std::size_t n : {64, 128, 256, 512, 1024, 2048}) {
            const auto sampled = sample_theory(n, beta);
            const double expected = sampled.cosine(sampled.oas_lambda()), mean = theory(n, beta, INFINITY);
            const double got = mean_cosine(n, beta, oas), plain = mean_cosine(n, beta, md);
            CHECK_NEAR(got, expected, 0.05);
            if (expected < mean - 0.06) {
                behind++;
                CHECK(got < plain - 0.02);
            } else if (expected > mean) {
                ahead++;
                CHECK(got > plain - 0.02);
            }
        }
    }
    CHECK(behind >= 4 && ahead >= 7);
}
