// Rules that choose lambda, and what scikit-learn gives for the same fits.

#include "check.h"
#include "ridge_fit_problems.h"

#include "ridge/direction_shrinkage.h"

#include <limits>

using namespace llama_steer;
using namespace llama_steer::ridge;
using reference::random_sample;

namespace {

// Computed by scikit-learn 1.9.1 with NumPy 2.4.6 on arithmetic_sample: shrinkage of the complying rows by oas() and
// ledoit_wolf(); LogisticRegression(C = 1 / (0.3 sum |c|), solver "newton-cholesky", tol 1e-13) with |c| as sample
// weights; LinearDiscriminantAnalysis(solver "lsqr", shrinkage 0.25); the first four elements of the unit vector of
// each; the mean square of the errors of a Ridge refitted without each row, alpha = n times the mean eigenvalue.
struct stored {
    std::size_t n, d, modulus;
    double oas, ledoit_wolf, logistic[4], lda[4], loo;
};

const stored by_scikit_learn[] = {
    {60,
     5,
     37,
     0.1343672227432133,
     0.07140774297057505,
     {-0.49182406182756766, 0.3755202826517619, 0.15229474681934832, -0.7392171690076356},
     {-0.266491089026612, 0.29383119234262906, 0.050583728291044315, -0.9165398400096467},
     0.28376121413744804},
    {40,
     12,
     41,
     0.4150262016941037,
     0.3460193670824475,
     {-0.007277374767306493, 0.06561381107762057, -0.2659074224995524, -0.3991578483398598},
     {-0.029863633335531423, 0.10625052512043681, -0.16496806833934302, -0.36683063047851905},
     0.23250931548712975},
    {16,
     30,
     29,
     0.5821055222954122,
     0.42903660020572915,
     {-0.11434406069070982, 0.03173733998332651, 0.0857561729234194, -0.2591402607807205},
     {-0.18886229047608244, 0.07842064643218563, 0.08537927520556121, -0.22830730293979876},
     0.16804440479871602},
};

}  // namespace

TEST(ridge_fits_equal_scikit_learn) {
    for (const auto & expected : by_scikit_learn) {
        auto s = reference::arithmetic_sample(expected.n, expected.d, expected.modulus);
        CHECK_NEAR(fitted(s, options_of(rmd, 1, lambda_rule::oas)).shrinkage, expected.oas, 1e-10);
        CHECK_NEAR(fitted(s, options_of(rmd, 1, lambda_rule::ledoit_wolf)).shrinkage, expected.ledoit_wolf, 1e-10);
        CHECK_NEAR(leave_one_out_error(problem_of(s, false), 1), expected.loo, 1e-9 * expected.loo);
        auto o = options_of(logistic, 0.3);
        o.unit = lambda_unit::absolute;
        const direction regressed = fitted(s, o);
        for (auto & c : s.scores) c = c > 0 ? 1 : -1;  // equal weights
        const direction discriminant = fitted(s, options_of(lda, 0.25 / 0.75));
        for (std::size_t j = 0; j < 4; j++) {
            CHECK_NEAR(regressed.vector[j], expected.logistic[j], 1e-7);
            CHECK_NEAR(discriminant.vector[j], expected.lda[j], 1e-7);
        }
    }
}

TEST(ridge_rules_by_definition) {
    // Weighted, which scikit-learn has not: the formulas element by element.
    for (const std::size_t d : {std::size_t(6), std::size_t(70)}) {
        const auto s = random_sample(50, d, 16);
        std::vector<double> wc(s.n);
        double weight = 0, squares = 0;
        for (std::size_t i = 0; i < s.n; i++) {
            if (s.scores[i] < -0.1) wc[i] = -s.scores[i];
            weight += wc[i];
            squares += wc[i] * wc[i];
        }
        const auto sigma = reference::covariance(s.x, d, wc);
        const auto mean = reference::mean(s.x, d, wc);
        double frobenius = 0, trace = 0, fourth = 0;
        for (const double value : sigma.data) frobenius += value * value;
        for (std::size_t j = 0; j < d; j++) trace += sigma(j, j);
        for (std::size_t i = 0; i < s.n; i++) {
            double length = 0;
            for (std::size_t j = 0; j < d; j++) length += std::pow(s.x[i * d + j] - mean[j], 2);
            fourth += wc[i] * length * length / weight;
        }
        const double n = weight * weight / squares, mu = trace / double(d);
        const double alpha = frobenius / double(d * d);
        const double oas = std::min(1.0, (alpha + mu * mu) / ((n + 1) * (alpha - mu * mu / double(d))));
        const double wolf = std::min(1.0, (fourth - frobenius) / n / (frobenius - double(d) * mu * mu));
        const direction by_oas = fitted(s, options_of(wrmd, 1, lambda_rule::oas));
        CHECK_NEAR(by_oas.shrinkage, oas, 1e-10);
        CHECK_NEAR(by_oas.lambda, oas / (1 - oas) * mu, 1e-9 * by_oas.lambda);
        CHECK_NEAR(fitted(s, options_of(wrmd, 1, lambda_rule::ledoit_wolf)).shrinkage, wolf, 1e-10);
        CHECK_NEAR(distance(by_oas.vector, fitted(s, options_of(wrmd, oas / (1 - oas))).vector), 0, 1e-6);
    }
}

TEST(ridge_leave_one_out_equals_refits) {
    const std::size_t shapes[][2] = {{30, 4}, {24, 24}, {18, 40}};
    for (const auto & shape : shapes) {
        const auto s = random_sample(shape[0], shape[1], 17);
        for (const bool weighted : {false, true}) {
            const auto problem = problem_of(s, weighted);
            everything all;
            std::vector<double> scores;
            double total = 0;
            for (std::size_t i = 0; i < s.n; i++) {
                if (std::fabs(s.scores[i]) <= 0.1) continue;
                all.rows.emplace_back(s.x.begin() + std::ptrdiff_t(i * s.d),
                                      s.x.begin() + std::ptrdiff_t((i + 1) * s.d));
                all.weights.push_back(weighted ? std::fabs(s.scores[i]) : 1);
                total += all.weights.back();
                scores.push_back(s.scores[i]);
            }
            for (auto & w : all.weights) w /= total;
            const double unit = mean_eigenvalue(all.rows, all.weights);
            double best = 0, lowest = INFINITY;
            for (int step = -12; step <= 12; step++) {
                const double multiple = std::pow(10.0, step / 3.0);
                const double expected = reference::refit_error(all.rows, scores, all.weights, multiple * unit);
                if (step % 4 == 0) {
                    CHECK_NEAR(leave_one_out_error(problem, multiple), expected, 1e-7 * expected);
                }
                if (expected < lowest) {
                    lowest = expected;
                    best = multiple;
                }
            }
            CHECK_NEAR(leave_one_out_multiple(problem, {}), best, 1e-12 * best);
            const auto method = weighted ? wrmd : rmd;
            const direction chosen = fitted(s, options_of(method, 1, lambda_rule::leave_one_out));
            CHECK_NEAR(distance(chosen.vector, fitted(s, options_of(method, best)).vector), 0, 1e-6);
        }
    }
}

TEST(ridge_rule_that_finds_the_identity_gives_the_mean_difference) {
    // Rows along every axis, there and back: their covariance is a multiple of the identity as it is.
    const std::size_t d = 5;
    reference::sample s{4 * d, d, std::vector<float>(4 * d * d), {}};
    for (std::size_t i = 0; i < s.n; i++) {
        const bool refusing = i < 2 * d;
        s.x[i * d + i % d] = i / d % 2 ? 1.0f : -1.0f;
        for (std::size_t j = 0; j < d && refusing; j++) s.x[i * d + j] += float(1 + j);
        s.scores.push_back(refusing ? 1 : -1);
    }
    const direction got = fitted(s, options_of(rmd, 1, lambda_rule::oas));
    CHECK_EQ(got.shrinkage, 1.0);
    CHECK_EQ(got.lambda, std::numeric_limits<double>::infinity());
    CHECK_NEAR(distance(got.vector, fitted(s, options_of(md)).vector), 0, 1e-6);
}
