// What the ridge solver must refuse, with the code and the words that help; and lambda from shrinkage.

#include "check.h"
#include "ridge_solver_reference.h"

#include "ridge/shrinkage.h"

#include <algorithm>
#include <atomic>
#include <limits>

using namespace llama_steer;
using namespace llama_steer::ridge;
using reference::random_problem;
using reference::ridge_sample;

namespace {

constexpr double nan_value = std::numeric_limits<double>::quiet_NaN();
constexpr double infinite = std::numeric_limits<double>::infinity();

ridge_sample sample() { return random_problem(30, 6, 2, 300, true); }
ridge_solution solved(const ridge_sample & s, const ridge_options & o = {}) {
    return solve_ridge(s.problem(), o).front();
}
bool contains(const std::string & text, const char * part) { return text.find(part) != std::string::npos; }

ridge_options choosing(lambda_choice choice, double lambda = 1) {
    ridge_options o;
    o.choice = choice;
    o.lambdas = {lambda};
    return o;
}

}  // namespace

TEST(ridge_solver_refuses_what_is_not_finite) {
    for (const double bad : {nan_value, infinite, -infinite}) {
        auto s = sample();
        s.x[4 * 6 + 5] = float(bad);
        CHECK(contains(CHECK_THROWS_CODE(solved(s), error_code::NOT_FINITE), "features[row 4, column 5]"));
        s = sample();
        s.x[3 * 6] = float(bad);  // of weight 0
        CHECK(contains(CHECK_THROWS_CODE(solved(s), error_code::NOT_FINITE), "features[row 3, column 0]"));
        s = sample();
        s.y[7 * 2 + 1] = bad;
        CHECK(contains(CHECK_THROWS_CODE(solved(s), error_code::NOT_FINITE), "targets[row 7, column 1]"));
        s = sample();
        s.weights[2] = bad;
        CHECK(contains(CHECK_THROWS_CODE(solved(s), error_code::NOT_FINITE), "weights[2]"));
    }
}

TEST(ridge_solver_refuses_empty_and_misshapen_input) {
    const auto s = sample();
    const auto with = [&](auto change) {
        ridge_problem p = s.problem();
        change(p);
        return solve_ridge(p, {});
    };
    constexpr auto invalid = error_code::INVALID_ARGUMENT;
    CHECK(contains(CHECK_THROWS_CODE(with([](auto & p) { p.features.rows = 0; }), invalid), "no rows"));
    CHECK(contains(CHECK_THROWS_CODE(with([](auto & p) { p.features.cols = 0; }), invalid), "no columns"));
    CHECK(contains(CHECK_THROWS_CODE(with([](auto & p) { p.features.row_stride = 5; }), invalid), "stride"));
    CHECK(contains(CHECK_THROWS_CODE(with([](auto & p) { p.features.data = nullptr; }), invalid), "no data"));
    CHECK(contains(CHECK_THROWS_CODE(with([](auto & p) { p.targets = nullptr; }), invalid), "targets"));
    CHECK(contains(CHECK_THROWS_CODE(with([](auto & p) { p.target_count = 0; }), invalid), "targets"));
}

TEST(ridge_solver_refuses_bad_weights) {
    auto s = sample();
    s.weights[5] = -1e-300;
    CHECK(contains(CHECK_THROWS_CODE(solved(s), error_code::INVALID_ARGUMENT), "weights[5]"));
    for (const double bad : {1e-101, 1e101}) {
        s.weights[5] = bad;
        CHECK(contains(CHECK_THROWS_CODE(solved(s), error_code::INVALID_ARGUMENT), "weights[5] is out of range"));
    }
    std::fill(s.weights.begin(), s.weights.end(), 0.0);
    CHECK(contains(CHECK_THROWS_CODE(solved(s), error_code::EMPTY_CLASS), "all weights are 0"));
}

TEST(ridge_solver_takes_the_largest_numbers_or_says_so) {
    auto s = sample();
    for (auto & value : s.x) value *= 1e37F;
    for (auto & weight : s.weights) weight *= 1e99;
    CHECK_NEAR(reference::coefficient_error(s, solved(s).coefficients, reference::ridge(s, solved(s).alpha)), 0, 1e-10);
    s = sample();
    for (auto & value : s.y) value *= 1e306;
    for (auto & value : s.x) value *= 1e-30F;
    CHECK(contains(CHECK_THROWS_CODE(solved(s), error_code::NOT_FINITE), "rescale"));
}

TEST(ridge_solver_refuses_bad_lambdas) {
    for (const double bad : {-1e-9, nan_value, infinite}) {
        CHECK(contains(
            CHECK_THROWS_CODE(solved(sample(), choosing(lambda_choice::relative, bad)), error_code::INVALID_ARGUMENT),
            "lambda"));
    }
    ridge_options none;
    none.lambdas.clear();
    CHECK(contains(CHECK_THROWS_CODE(solved(sample(), none), error_code::INVALID_ARGUMENT), "empty"));
    const auto lonely = random_problem(1, 3, 1, 301, false);
    CHECK(contains(
        CHECK_THROWS_CODE(solved(lonely, choosing(lambda_choice::leave_one_out)), error_code::INVALID_ARGUMENT),
        "two rows"));
}

TEST(ridge_solver_refuses_singular_systems) {
    const auto zero = choosing(lambda_choice::absolute, 0);
    constexpr auto singular = error_code::SINGULAR_MATRIX;
    // Fewer rows than columns; with the intercept one fewer still; and collinear columns.
    CHECK(contains(CHECK_THROWS_CODE(solved(random_problem(5, 8, 1, 302, false), zero), singular), "lambda above 0"));
    CHECK_THROWS_CODE(solved(random_problem(8, 8, 1, 303, false), zero), singular);
    auto s = random_problem(60, 5, 1, 304, false);
    for (std::size_t i = 0; i < 60; i++) s.x[i * 5 + 4] = s.x[i * 5];
    CHECK_THROWS_CODE(solved(s, zero), singular);
    ridge_options path = zero;
    path.lambdas.assign(12, 1.0);
    path.lambdas[11] = 0;
    CHECK_THROWS_CODE(solve_ridge(s.problem(), path), singular);
    auto constant = s;
    std::fill(constant.x.begin(), constant.x.end(), 3.0F);
    CHECK_THROWS_CODE(solved(constant), singular);
    CHECK_THROWS_CODE(solved(constant, choosing(lambda_choice::leave_one_out)), singular);
    for (const double value : solved(constant, choosing(lambda_choice::absolute, 1)).coefficients) {
        CHECK_EQ(value, 0.0);
    }
}

TEST(ridge_solver_refuses_what_exceeds_the_memory_limit) {
    for (const auto precision : {ridge_precision::f64, ridge_precision::f32}) {
        const auto s = random_problem(200, 150, 1, 305, false);
        ridge_options o;
        o.precision = precision;
        const std::size_t needed = ridge_bytes(200, 150, 1, o);
        CHECK(needed > 150 * 150 * (precision == ridge_precision::f64 ? 8 : 4));
        o.memory_limit = needed - 1;
        const std::string message = CHECK_THROWS_CODE(solved(s, o), error_code::OUT_OF_MEMORY);
        CHECK(contains(message, std::to_string(needed).c_str()));
        CHECK(contains(message, std::to_string(needed - 1).c_str()));
        o.memory_limit = needed;
        CHECK_EQ(solved(s, o).coefficients.size(), std::size_t(150));
    }
    CHECK_THROWS_CODE(ridge_bytes(std::size_t(1) << 40, std::size_t(1) << 40, 1, {}), error_code::OUT_OF_MEMORY);
}

TEST(ridge_solver_stops_wherever_it_is_asked_to) {
    const auto s = random_problem(600, 40, 1, 306, true);
    for (const auto precision : {ridge_precision::f64, ridge_precision::f32}) {
        for (const auto form : {ridge_form::primal, ridge_form::dual}) {
            for (const std::size_t count : {std::size_t(2), std::size_t(12)}) {
                ridge_options o;
                o.precision = precision;
                o.form = form;
                o.lambdas.assign(count, 1.0);
                std::size_t asked = 0;
                o.aborted = [&] { return asked++, false; };
                (void)solve_ridge(s.problem(), o);
                CHECK(asked > 4);
                for (std::size_t stop = 0; stop < asked; stop++) {
                    std::size_t at = 0;
                    o.aborted = [&] { return at++ == stop; };
                    CHECK_THROWS_CODE(solve_ridge(s.problem(), o), error_code::ABORTED);
                    CHECK_EQ(at, stop + 1);
                }
            }
        }
    }
}

TEST(ridge_solver_reports_progress_that_ends_at_1) {
    for (const std::size_t count : {std::size_t(1), std::size_t(3), std::size_t(12)}) {
        std::vector<double> seen;
        ridge_options o;
        o.lambdas.assign(count, 1.0);
        o.progress = [&](double fraction) { seen.push_back(fraction); };
        (void)solve_ridge(random_problem(900, 5, 1, 307, false).problem(), o);
        CHECK(seen.size() > 1 && std::is_sorted(seen.begin(), seen.end()));
        CHECK_EQ(seen.back(), 1.0);
    }
}

// scikit-learn's own values are held in test/ridge-reference.test.ts; here: the definitions, by sums over the rows.
TEST(ridge_solver_lambda_from_shrinkage_equals_definition) {
    for (const auto & [n, d] : {std::pair{40, 7}, std::pair{12, 30}, std::pair{25, 25}, std::pair{9, 1}}) {
        auto s = random_problem(std::size_t(n), std::size_t(d), 1, unsigned(310 + d), false);
        const double rows = n, cols = d;
        std::vector<double> mean(s.d), covariance(s.d * s.d);
        for (std::size_t i = 0; i < s.x.size(); i++) mean[i % s.d] += double(s.x[i]) / rows;
        double trace = 0, square = 0, error = 0;
        for (std::size_t i = 0; i < s.n; i++) {
            for (std::size_t p = 0; p < s.d; p++) {
                for (std::size_t q = 0; q < s.d; q++) {
                    covariance[p * s.d + q] += (s.x[i * s.d + p] - mean[p]) * (s.x[i * s.d + q] - mean[q]) / rows;
                }
            }
        }
        for (std::size_t p = 0; p < s.d; p++) trace += covariance[p * s.d + p];
        for (const double value : covariance) square += value * value;
        for (std::size_t i = 0; i < s.n; i++) {
            for (std::size_t p = 0; p < s.d; p++) {
                for (std::size_t q = 0; q < s.d; q++) {
                    const double one = (s.x[i * s.d + p] - mean[p]) * (s.x[i * s.d + q] - mean[q]);
                    error += (one - covariance[p * s.d + q]) * (one - covariance[p * s.d + q]) / (rows * rows);
                }
            }
        }
        const double distance = square - trace * trace / cols;
        const double lw = d == 1 ? 0 : std::min(1.0, error / distance);
        const double m = trace / cols;
        const double oas = d == 1 ? 0
                                  : std::min(1.0, (square / (cols * cols) + m * m) /
                                                      ((rows + 1) * (square / (cols * cols) - m * m / cols)));
        if (d == 1) {
            CHECK_EQ(solved(s, choosing(lambda_choice::oas)).shrinkage, 0.0);
            continue;
        }
        for (const auto & [choice, expected] :
             {std::pair{lambda_choice::oas, oas}, std::pair{lambda_choice::ledoit_wolf, lw}}) {
            const ridge_solution got = solved(s, choosing(choice));
            CHECK_NEAR(got.shrinkage, expected, 1e-10);
            CHECK_NEAR(got.relative_lambda, expected / (1 - expected), 1e-9 * (1 + got.relative_lambda));
            CHECK_NEAR(reference::coefficient_error(s, got.coefficients, reference::ridge(s, got.alpha)), 0, 1e-9);
            // Equal weights, whatever they are, change nothing.
            auto heavy = s;
            heavy.weights.assign(s.n, 7.0);
            CHECK_NEAR(solved(heavy, choosing(choice)).shrinkage, expected, 1e-10);
        }
    }
}

TEST(ridge_solver_whole_shrinkage_leaves_nothing) {
    CHECK_EQ(oas_shrinkage({0, 0, 0, 1, 1, 3}), 1.0);
    CHECK_EQ(ledoit_wolf_shrinkage({3, 3, 1, 1, 1, 3}), 0.0);
    CHECK(lambda_of_shrinkage(1) > 1e15);
    CHECK_EQ(lambda_of_shrinkage(0), 0.0);
    CHECK_EQ(lambda_of_shrinkage(0.75), 3.0);
}
