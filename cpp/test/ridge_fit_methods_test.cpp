// PCA, LDA and logistic directions, rules for lambda and lists of them, against plain references and scikit-learn.

#include "check.h"
#include "ridge_fit_reference.h"

#include "ridge/direction_krylov.h"
#include "ridge/direction_shrinkage.h"
#include "ridge/directions.h"

#include <limits>

using namespace llama_steer;
using namespace llama_steer::ridge;
using reference::random_sample;

namespace {

constexpr auto md = direction_method::mean_difference;
constexpr auto rmd = direction_method::ridge_mean_difference;
constexpr auto wrmd = direction_method::weighted_ridge_mean_difference;
constexpr auto pca = direction_method::principal_component;
constexpr auto lda = direction_method::linear_discriminant;
constexpr auto logistic = direction_method::logistic;

direction_options options_of(direction_method method, double lambda = 1, lambda_rule rule = lambda_rule::given) {
    direction_options o;
    o.method = method;
    o.lambda = lambda;
    o.rule = rule;
    return o;
}

matrix_view view_of(const reference::sample & s) { return {s.x.data(), s.n, s.d}; }

matrix_view view_of(const std::vector<float> & keep, std::size_t d) {
    return keep.empty() ? matrix_view() : matrix_view(keep.data(), keep.size() / d, d);
}

direction fitted(const reference::sample & s, const direction_options & o, const std::vector<float> & keep = {}) {
    return fit_direction(view_of(s), s.scores.data(), s.n, o, view_of(keep, s.d));
}

std::vector<direction> path_of(const reference::sample & s, const direction_options & o,
                               const std::vector<double> & lambdas, const std::vector<float> & keep = {}) {
    return fit_direction_path(view_of(s), s.scores.data(), s.n, o, lambdas, view_of(keep, s.d));
}

/// |a - b| for unit vectors, of which one is float32.
double distance(const std::vector<float> & a, const std::vector<double> & b) {
    double sum = 0;
    for (std::size_t j = 0; j < b.size(); j++) sum += (a[j] - b[j]) * (a[j] - b[j]);
    return std::sqrt(sum);
}

double distance(const std::vector<float> & a, const std::vector<float> & b) {
    return distance(a, std::vector<double>(b.begin(), b.end()));
}

/// A problem over all rows of a sample with scores beyond the threshold, as fit_direction poses it where rows are many.
direction_problem problem_of(const reference::sample & s, bool weighted) {
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
double mean_eigenvalue(const std::vector<std::vector<double>> & rows, const std::vector<double> & w) {
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

everything all_of(const reference::labelled & from) {
    everything out{from.refusing, from.refusing_weights, std::vector<double>(from.refusing.size(), 1.0)};
    out.rows.insert(out.rows.end(), from.complying.begin(), from.complying.end());
    out.weights.insert(out.weights.end(), from.complying_weights.begin(), from.complying_weights.end());
    out.classes.resize(out.rows.size(), -1.0);
    double total = 0;
    for (const double w : out.weights) total += w;
    for (auto & w : out.weights) w /= total;
    return out;
}

std::vector<double> preserve_shift(const reference::sample & s, const std::vector<float> & keep) {
    std::vector<double> wc(s.n);
    for (std::size_t i = 0; i < s.n; i++) wc[i] = s.scores[i] < -0.1 ? -s.scores[i] : 0;
    auto u = reference::mean(keep, s.d, std::vector<double>(keep.size() / s.d, 1.0));
    const auto mc = reference::mean(s.x, s.d, wc);
    for (std::size_t j = 0; j < s.d; j++) u[j] -= mc[j];
    return u;
}

}  // namespace

TEST(ridge_pca_equals_the_component_of_all_pairs) {
    const std::size_t shapes[][2] = {{30, 2}, {40, 9}, {24, 40}, {12, 60}};  // the last in the basis of its rows
    for (const auto & shape : shapes) {
        const auto s = random_sample(shape[0], shape[1], 11);
        const auto rows = reference::labelled_rows(s, 0.1, true);
        const direction got = fitted(s, options_of(pca));
        CHECK_NEAR(distance(got.vector, reference::pairs_component(rows, s.d, {})), 0, 2e-7);
        CHECK(got.gap > 0);
        CHECK_EQ(got.lambda, 0.0);

        const auto keep = random_sample(7, s.d, 12).x;
        auto o = options_of(pca);
        o.preserve = preserve_mode::project_out;
        const auto along = preserve_shift(s, keep);
        CHECK_NEAR(distance(fitted(s, o, keep).vector, reference::pairs_component(rows, s.d, along)), 0, 2e-7);
    }
}

TEST(ridge_pca_of_wide_rows_is_an_eigenvector) {
    // Too wide for the plain reference: S v = theta v is checked instead, and that no other start finds more.
    const auto s = random_sample(600, 300, 13);
    const direction got = fitted(s, options_of(pca));
    std::vector<double> wr(s.n), wc(s.n);
    for (std::size_t i = 0; i < s.n; i++)
        (s.scores[i] > 0.1 ? wr : wc)[i] = std::fabs(s.scores[i]) > 0.1 ? std::fabs(s.scores[i]) : 0;
    auto second = reference::covariance(s.x, s.d, wr);
    const auto other = reference::covariance(s.x, s.d, wc);
    const auto mr = reference::mean(s.x, s.d, wr), mc = reference::mean(s.x, s.d, wc);
    for (std::size_t a = 0; a < s.d; a++) {
        for (std::size_t b = 0; b < s.d; b++) second(a, b) += other(a, b) + (mr[a] - mc[a]) * (mr[b] - mc[b]);
    }
    const auto times = [&](const std::vector<double> & x) {
        std::vector<double> out(s.d);
        for (std::size_t a = 0; a < s.d; a++) {
            for (std::size_t b = 0; b < s.d; b++) out[a] += second(a, b) * x[b];
        }
        return out;
    };
    const std::vector<double> v(got.vector.begin(), got.vector.end());
    const auto image = times(v);
    const double theta = reference::dot(v, image);
    double residual = 0;
    for (std::size_t j = 0; j < s.d; j++) residual += std::pow(image[j] - theta * v[j], 2);
    CHECK_NEAR(std::sqrt(residual) / theta, 0, 1e-6);
    std::vector<double> x(s.d, 1.0);
    for (int step = 0; step < 200; step++) x = reference::unit(times(x));
    CHECK(reference::dot(x, times(x)) <= theta * (1 + 1e-6));
}

TEST(ridge_lda_equals_reference) {
    const std::size_t shapes[][2] = {{40, 3}, {30, 50}, {20, 100}, {200, 33}};
    for (const auto & shape : shapes) {
        const auto s = random_sample(shape[0], shape[1], 14);
        std::vector<double> wr(s.n), wc(s.n);
        double sum_r = 0, sum_c = 0;
        for (std::size_t i = 0; i < s.n; i++) {
            if (s.scores[i] > 0.1) sum_r += wr[i] = s.scores[i];
            if (s.scores[i] < -0.1) sum_c += wc[i] = -s.scores[i];
        }
        auto pooled = reference::covariance(s.x, s.d, wr);
        const auto other = reference::covariance(s.x, s.d, wc);
        double trace = 0;
        for (std::size_t a = 0; a < s.d; a++) {
            for (std::size_t b = 0; b < s.d; b++) {
                pooled(a, b) = (sum_r * pooled(a, b) + sum_c * other(a, b)) / (sum_r + sum_c);
            }
            trace += pooled(a, a);
        }
        const auto mr = reference::mean(s.x, s.d, wr), mc = reference::mean(s.x, s.d, wc);
        std::vector<double> shift(s.d);
        for (std::size_t j = 0; j < s.d; j++) {
            shift[j] = mr[j] - mc[j];
            pooled(j, j) += 0.2 * trace / double(s.d);
        }
        const direction got = fitted(s, options_of(lda, 0.2));
        CHECK_NEAR(distance(got.vector, reference::unit(reference::solve(pooled, shift))), 0, 1e-6);
        CHECK_NEAR(got.lambda, 0.2 * trace / double(s.d), 1e-9 * got.lambda);
        CHECK_NEAR(got.shrinkage, 1 / 6.0, 1e-9);
    }
}

TEST(ridge_logistic_is_stationary) {
    // The objective is strictly convex: where its gradient vanishes, there is its only minimum.
    const std::size_t shapes[][2] = {{40, 3}, {60, 40}, {20, 90}};
    for (const auto & shape : shapes) {
        const auto s = random_sample(shape[0], shape[1], 15);
        const auto all = all_of(reference::labelled_rows(s, 0.1, true));
        for (const double multiple : {0.01, 1.0, 50.0}) {
            const direction got = fitted(s, options_of(logistic, multiple));
            const double lambda = multiple * mean_eigenvalue(all.rows, all.weights);
            CHECK_NEAR(got.lambda, lambda, 1e-9 * lambda);
            // Of the solution only the direction is told: along it, length and intercept follow from plain Newton in
            // 2-D.
            double length = 0, b = 0;
            std::vector<double> p(all.rows.size());
            for (std::size_t i = 0; i < p.size(); i++) {
                for (std::size_t j = 0; j < s.d; j++) p[i] += double(got.vector[j]) * all.rows[i][j];
            }
            double centre = 0;
            for (std::size_t i = 0; i < p.size(); i++) centre += all.weights[i] * p[i];
            std::vector<double> slope(p.size());
            for (int step = 0; step < 100; step++) {
                double g1 = lambda * length, g2 = 0, h11 = lambda, h12 = 0, h22 = 0;
                for (std::size_t i = 0; i < p.size(); i++) {
                    const double x = p[i] - centre, t = all.classes[i];
                    const double q = 1 / (1 + std::exp(t * (length * x + b)));
                    slope[i] = -all.weights[i] * t * q;
                    g1 += slope[i] * x;
                    g2 += slope[i];
                    const double c = all.weights[i] * q * (1 - q);
                    h11 += c * x * x;
                    h12 += c * x;
                    h22 += c;
                }
                const double determinant = h11 * h22 - h12 * h12;
                const double scale = step < 50 ? 0.5 : 1;
                length -= scale * (h22 * g1 - h12 * g2) / determinant;
                b -= scale * (h11 * g2 - h12 * g1) / determinant;
            }
            double gradient = 0, parts = 0;
            for (std::size_t j = 0; j < s.d; j++) {
                double g = 0;
                for (std::size_t i = 0; i < p.size(); i++) g += slope[i] * all.rows[i][j];
                parts += g * g;
                gradient += std::pow(g + lambda * length * double(got.vector[j]), 2);
            }
            CHECK(length > 0);
            CHECK_NEAR(std::sqrt(gradient / parts), 0, 1e-6);
        }
    }
}

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

TEST(ridge_few_rows_in_many_dimensions_equal_reference) {
    // 4 rows or more dimensions a row: solved in the basis of the rows.
    const std::size_t shapes[][3] = {{10, 64, 6}, {12, 200, 5}, {20, 129, 12}};
    for (const auto & shape : shapes) {
        const auto s = random_sample(shape[0], shape[1], 19);
        const auto keep = random_sample(shape[2], shape[1], 20).x;
        for (const auto mode : {preserve_mode::none, preserve_mode::covariance_within, preserve_mode::covariance_pooled,
                                preserve_mode::project_out}) {
            for (const double lambda : {1e-3, 1.0, 100.0}) {
                auto o = options_of(wrmd, lambda);
                o.preserve = mode;
                const auto kept = mode == preserve_mode::none ? std::vector<float>() : keep;
                const auto expected = reference::direction(s, o, kept);
                const direction got = fitted(s, o, kept);
                CHECK_NEAR(distance(got.vector, expected.v), 0, 1e-6);
                CHECK_NEAR(got.gap, expected.gap, 1e-6 * std::fabs(expected.gap));
                CHECK_NEAR(got.lambda, expected.lambda, 1e-9 * expected.lambda);
            }
        }
        CHECK_THROWS_CODE(fitted(s, options_of(wrmd, 0)), error_code::SINGULAR_MATRIX);
        CHECK_THROWS_CODE(fitted(s, options_of(wrmd, 1e-17)), error_code::SINGULAR_MATRIX);
    }
    // Copies of two rows span one dimension.
    reference::sample copies{8, 64, {}, {1, -1, 1, -1, 1, -1, 1, -1}};
    const auto two = random_sample(2, 64, 21);
    for (int i = 0; i < 4; i++) copies.x.insert(copies.x.end(), two.x.begin(), two.x.end());
    auto absolute = options_of(lda, 1);
    absolute.unit = lambda_unit::absolute;
    const direction along = fitted(copies, absolute);
    CHECK_NEAR(distance(along.vector, fitted(copies, options_of(md)).vector), 0, 1e-6);
}

TEST(ridge_both_ways_of_preserving_join) {
    const auto s = random_sample(60, 20, 22);
    const auto keep = random_sample(15, 20, 23).x;
    auto o = options_of(wrmd, 0.5);
    o.preserve = preserve_mode::pooled_and_projected;
    const direction got = fitted(s, o, keep);
    // The pooled Sigma, solved for the projected difference, from the reference's parts.
    const auto along = preserve_shift(s, keep);
    std::vector<double> wr(s.n), wc(s.n);
    for (std::size_t i = 0; i < s.n; i++) {
        if (s.scores[i] > 0.1) wr[i] = s.scores[i];
        if (s.scores[i] < -0.1) wc[i] = -s.scores[i];
    }
    const auto mr = reference::mean(s.x, 20, wr), mc = reference::mean(s.x, 20, wc);
    auto sigma = reference::covariance(s.x, 20, wc);
    const auto other = reference::covariance(keep, 20, std::vector<double>(15, 1.0));
    std::vector<double> shift(20);
    double trace = 0;
    for (std::size_t a = 0; a < 20; a++) {
        for (std::size_t b = 0; b < 20; b++) sigma(a, b) = (sigma(a, b) + other(a, b)) / 2 + along[a] * along[b] / 4;
        trace += sigma(a, a);
        shift[a] = mr[a] - mc[a];
    }
    const double share = reference::dot(shift, along) / reference::dot(along, along);
    for (std::size_t a = 0; a < 20; a++) {
        shift[a] -= share * along[a];
        sigma(a, a) += 0.5 * trace / 20;
    }
    CHECK_NEAR(distance(got.vector, reference::unit(reference::solve(sigma, shift))), 0, 1e-6);
}

TEST(ridge_lists_of_lambdas_equal_single_fits) {
    const std::vector<double> few{1, 0.01}, many{1e-3, 1e-2, 0.1, 1, 1, 10, 1e3, 1e6};
    const std::size_t shapes[][2] = {{80, 30}, {300, 160}, {40, 200}, {130, 260}};  // by Cholesky, then by Krylov space
    for (const auto & shape : shapes) {
        const auto s = random_sample(shape[0], shape[1], 24);
        for (const auto method : {rmd, wrmd, lda, logistic}) {
            for (const auto & lambdas : {few, many}) {
                const auto path = path_of(s, options_of(method), lambdas);
                CHECK_EQ(path.size(), lambdas.size());
                for (std::size_t i = 0; i < lambdas.size(); i++) {
                    const direction one = fitted(s, options_of(method, lambdas[i]));
                    CHECK_NEAR(distance(path[i].vector, one.vector), 0, 1e-6);
                    CHECK_NEAR(path[i].lambda, one.lambda, 1e-12 * one.lambda);
                    CHECK_NEAR(path[i].gap, one.gap, 1e-6 * one.gap);
                    CHECK(path[i].condition >= 1);
                }
            }
        }
    }
    // What one Krylov space cannot give is solved, or refused, as it is alone.
    const auto s = random_sample(400, 140, 25);
    const auto path = path_of(s, options_of(wrmd), {0, 0.1, 1, 2, 3, 4});
    CHECK_NEAR(distance(path[0].vector, fitted(s, options_of(wrmd, 0)).vector), 0, 1e-6);
    const auto narrow = random_sample(60, 140, 26);
    CHECK_THROWS_CODE(path_of(narrow, options_of(wrmd), {1, 0, 2, 3, 4, 5}), error_code::SINGULAR_MATRIX);
}

TEST(ridge_krylov_solutions_keep_their_bound) {
    for (const std::size_t d : {std::size_t(1), std::size_t(5), std::size_t(120)}) {
        const auto x = reference::random_matrix(2 * d, d, 27);
        auto a = reference::multiply(reference::transposed(x), x);
        for (std::size_t i = 0; i < d; i++) {
            for (std::size_t j = 0; j < d; j++) a(i, j) *= std::exp(-0.05 * double(i + j));
        }
        std::vector<double> b(d);
        for (std::size_t j = 0; j < d; j++) b[j] = std::cos(double(j));
        const std::vector<double> lambdas{1e-2, 1, 100, 0};
        const auto got = solve_shifted({a.data.data(), d, d}, b, lambdas, 500);
        CHECK(got.vectors[3].empty());
        for (std::size_t k = 0; k < 3; k++) {
            auto shifted = a;
            for (std::size_t j = 0; j < d; j++) shifted(j, j) += lambdas[k];
            const auto expected = reference::solve(shifted, b);
            CHECK_EQ(got.vectors[k].size(), d);
            double error = 0;
            for (std::size_t j = 0; j < d; j++) error += std::pow(got.vectors[k][j] - expected[j], 2);
            CHECK_NEAR(std::sqrt(error / reference::dot(expected, expected)), 0, 1e-9);
        }
        // Too few steps: left out rather than wrong.
        if (d == 120) CHECK(solve_shifted({a.data.data(), d, d}, b, {1e-6}, 3).vectors[0].empty());
    }
}

TEST(ridge_methods_refuse_what_they_cannot_do) {
    const auto s = random_sample(40, 6, 28);
    const auto keep = random_sample(10, 6, 29).x;
    for (const auto method : {pca, logistic}) {
        auto o = options_of(method);
        for (const auto mode : {preserve_mode::covariance_within, preserve_mode::covariance_pooled,
                                preserve_mode::pooled_and_projected}) {
            o.preserve = mode;
            CHECK_THROWS_CODE(fitted(s, o, keep), error_code::INVALID_ARGUMENT);
        }
    }
    for (const auto rule : {lambda_rule::oas, lambda_rule::ledoit_wolf, lambda_rule::leave_one_out}) {
        for (const auto method : {md, pca, logistic}) {
            CHECK_THROWS_CODE(fitted(s, options_of(method, 1, rule)), error_code::INVALID_ARGUMENT);
        }
        CHECK_THROWS_CODE(path_of(s, options_of(wrmd, 1, rule), {1, 2}), error_code::INVALID_ARGUMENT);
    }
    CHECK_THROWS_CODE(fitted(s, options_of(logistic, 0)), error_code::SINGULAR_MATRIX);
    CHECK_THROWS_CODE(path_of(s, options_of(wrmd), {}), error_code::INVALID_ARGUMENT);
    CHECK_THROWS_CODE(path_of(s, options_of(wrmd), {1, -1}), error_code::INVALID_ARGUMENT);
    CHECK_THROWS_CODE(path_of(s, options_of(wrmd), {1, NAN}), error_code::INVALID_ARGUMENT);
    CHECK_THROWS_CODE(path_of(s, options_of(md), {1, 2}), error_code::INVALID_ARGUMENT);
    CHECK_THROWS_CODE(path_of(s, options_of(pca), {1, 2}), error_code::INVALID_ARGUMENT);

    auto level = s;
    for (std::size_t i = 0; i < level.x.size(); i++) level.x[i] = float(i % 6);
    for (const auto method : {pca, lda, logistic}) {
        CHECK_THROWS_CODE(fitted(level, options_of(method)), error_code::INVALID_ARGUMENT);
    }
    reference::sample wide{8, 64, std::vector<float>(8 * 64, 0.3f), {1, -1, 1, -1, 1, -1, 1, -1}};
    CHECK_THROWS_CODE(fitted(wide, options_of(wrmd)), error_code::INVALID_ARGUMENT);
}
