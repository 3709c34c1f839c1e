// Ridge regression against its definition, and its forms against each other.

#include "check.h"
#include "ridge_solver_reference.h"

#include "base/half.h"
#include "ridge/krylov_path.h"

#include <algorithm>

using namespace llama_steer;
using namespace llama_steer::ridge;
using reference::random_problem;
using reference::ridge_sample;

namespace {

struct shape {
    std::size_t n, d, k;
};
constexpr shape shapes[] = {{40, 1, 1},  {1, 3, 1},   {3, 1, 2},    {12, 30, 3}, {33, 32, 1},
                            {32, 32, 2}, {70, 65, 1}, {300, 40, 2}, {65, 130, 1}};

ridge_options absolute(std::vector<double> lambdas) {
    ridge_options o;
    o.choice = lambda_choice::absolute;
    o.lambdas = std::move(lambdas);
    return o;
}

ridge_solution solved(const ridge_sample & s, const ridge_options & o) { return solve_ridge(s.problem(), o).front(); }

void compare(const ridge_sample & s, const ridge_options & o, double tolerance) {
    const ridge_solution got = solved(s, o);
    const auto expected = reference::ridge(s, got.alpha);
    CHECK_NEAR(reference::coefficient_error(s, got.coefficients, expected), 0, tolerance);
    for (std::size_t t = 0; t < s.k; t++) {
        const double a = s.intercept ? double(expected[s.d][t]) : 0;
        CHECK_NEAR(got.intercept[t], a, tolerance * (1 + std::fabs(a)));
    }
}

double worst(const std::vector<double> & a, const std::vector<double> & b) {
    double size = 0;
    for (const double value : b) size = std::max(size, std::fabs(value));
    return reference::max_difference(a, b) / size;
}

}  // namespace

TEST(ridge_solver_equals_definition) {
    unsigned seed = 100;
    for (const auto & [n, d, k] : shapes) {
        for (const bool weighted : {false, true}) {
            for (const bool intercept : {false, true}) {
                const auto s = random_problem(n, d, k, seed++, weighted, intercept);
                if (n == 1 && intercept) {  // nothing but the intercept is left to fit
                    const ridge_solution got = solved(s, absolute({1}));
                    for (const double value : got.coefficients) CHECK_EQ(value, 0.0);
                    CHECK_EQ(got.intercept[0], s.y[0]);
                    CHECK(std::isnan(got.loo_error[0]));
                    continue;
                }
                for (const double alpha : {1e-3, 1.0, 50.0}) compare(s, absolute({alpha}), 1e-10);
                ridge_options relative;
                relative.lambdas = {0.3};
                const ridge_solution got = solved(s, relative);
                CHECK_NEAR(got.alpha, 0.3 * reference::mean_eigenvalue(s), 1e-12 * got.alpha);
                CHECK_NEAR(got.relative_lambda, 0.3, 1e-12);
                compare(s, relative, 1e-10);
            }
        }
    }
}

TEST(ridge_solver_without_lambda_is_least_squares) {
    compare(random_problem(90, 20, 2, 130, true), absolute({0}), 1e-10);
    compare(random_problem(40, 20, 1, 131, false, false), absolute({0}), 1e-9);
}

TEST(ridge_solver_primal_equals_dual) {
    for (const auto & [n, d, k] : shapes) {
        for (const bool intercept : {false, true}) {
            const auto s = random_problem(n, d, k, unsigned(140 + n + d), true, intercept);
            if (n == 1 && intercept) continue;
            for (const double lambda : {1e-3, 1.0, 100.0}) {
                ridge_options o;
                o.lambdas = {lambda};
                o.form = ridge_form::primal;
                const ridge_solution primal = solved(s, o);
                o.form = ridge_form::dual;
                const ridge_solution dual = solved(s, o);
                CHECK(primal.form == ridge_form::primal && dual.form == ridge_form::dual);
                CHECK_NEAR(worst(primal.coefficients, dual.coefficients), 0, 1e-10);
                CHECK_NEAR(primal.degrees_of_freedom, dual.degrees_of_freedom, 1e-9 * dual.degrees_of_freedom);
                CHECK_NEAR(worst(primal.loo_error, dual.loo_error), 0, 1e-7);
            }
        }
    }
}

TEST(ridge_solver_leave_one_out_equals_refits) {
    for (const auto & [n, d, k] : {shape{14, 5, 2}, shape{12, 20, 1}, shape{9, 8, 1}}) {
        for (const bool weighted : {false, true}) {
            for (const bool intercept : {false, true}) {
                const auto s = random_problem(n, d, k, unsigned(160 + d), weighted, intercept);
                for (const double alpha : {0.01, 2.0}) {
                    const ridge_solution got = solved(s, absolute({alpha}));
                    CHECK_NEAR(worst(got.loo_error, reference::left_out_error(s, alpha)), 0, 1e-9);
                    const double freedom = reference::freedom(s, alpha);
                    CHECK_NEAR(got.degrees_of_freedom, freedom, 1e-10 * freedom);
                    // The same from a reduction.
                    const auto path = solve_ridge(s.problem(), absolute(std::vector<double>(12, alpha)));
                    CHECK_NEAR(worst(path[7].loo_error, got.loo_error), 0, 1e-9);
                    CHECK_NEAR(path[7].degrees_of_freedom, freedom, 1e-9 * freedom);
                }
            }
        }
    }
}

TEST(ridge_solver_path_equals_separate_solves) {
    for (const auto & [n, d, k] : shapes) {
        if (n == 1) continue;
        const auto s = random_problem(n, d, k, unsigned(180 + n), true);
        ridge_options o;
        for (const std::size_t count : {std::size_t(3), std::size_t(19)}) {
            o.lambdas.clear();
            for (std::size_t i = 0; i < count; i++)
                o.lambdas.push_back(std::pow(10.0, 3 - double(i) * 6 / double(count)));
            CHECK_EQ(reduces_once(o), count == 19);
            const auto path = solve_ridge(s.problem(), o);
            CHECK_EQ(path.size(), count);
            for (std::size_t i = 0; i < count; i++) {
                ridge_options one = o;
                one.lambdas = {o.lambdas[i]};
                const ridge_solution alone = solved(s, one);
                CHECK_NEAR(path[i].alpha, alone.alpha, 1e-14 * alone.alpha);
                CHECK_NEAR(worst(path[i].coefficients, alone.coefficients), 0, 1e-10);
                CHECK_NEAR(worst(path[i].loo_error, alone.loo_error), 0, 1e-8);
                CHECK(path[i].condition > 1 - 1e-12 && alone.condition > 1 - 1e-12);
            }
        }
    }
}

TEST(ridge_solver_krylov_path_equals_separate_solves) {
    for (const auto & [n, d, k] : {shape{33, 20, 1}, shape{400, 300, 2}, shape{350, 500, 1}, shape{60, 12, 3}}) {
        for (const bool intercept : {false, true}) {
            const auto s = random_problem(n, d, k, unsigned(190 + d), true, intercept);
            ridge_options o;
            o.diagnostics = false;
            o.lambdas = {0.05};
            for (int i = 0; i < 16; i++) o.lambdas.push_back(std::pow(10.0, i / 5.0 - 1));
            CHECK(tries_krylov(o, k));
            const auto path = solve_ridge(s.problem(), o);
            for (std::size_t i = 0; i < path.size(); i++) {
                ridge_options one = o;
                one.lambdas = {o.lambdas[i]};
                const ridge_solution alone = solved(s, one);
                CHECK_NEAR(path[i].alpha, alone.alpha, 1e-14 * alone.alpha);
                CHECK_NEAR(worst(path[i].coefficients, alone.coefficients), 0, 1e-10);
                // Where Krylov served, the condition is its bound.
                if (path[i].form == ridge_form::primal) {
                    CHECK_NEAR(path[i].condition, double(d) / o.lambdas[i] + 1, 1e-9 * path[i].condition);
                }
                CHECK(path[i].condition >= alone.condition / double(n + d) && path[i].loo_error.empty());
            }
        }
    }
}

TEST(ridge_solver_krylov_gives_up_where_it_would_lose_digits) {
    const auto s = random_problem(120, 10, 1, 191, true);
    ridge_options o;
    o.diagnostics = false;
    o.lambdas.assign(10, 1e-9);
    const ridge_solution got = solved(s, o);
    CHECK_NEAR(reference::coefficient_error(s, got.coefficients, reference::ridge(s, got.alpha)), 0, 1e-11);
    const double whole[] = {2, 0, 0, 3}, b[] = {1, 1}, zero[] = {0, 0};
    double out[2];
    CHECK(!krylov_path({whole, 2, 2}, b, {1e-6}, {out, 1, 2}, {}));
    CHECK(!krylov_path({whole, 2, 2}, b, {0}, {out, 1, 2}, {}));
    CHECK(krylov_path({whole, 2, 2}, b, {1}, {out, 1, 2}, {}));
    CHECK_NEAR(out[0], 1.0 / 3, 1e-15);
    CHECK_NEAR(out[1], 1.0 / 4, 1e-15);
    CHECK(krylov_path({whole, 2, 2}, zero, {1}, {out, 1, 2}, {}));
    CHECK_EQ(out[0], 0.0);
}

TEST(ridge_solver_loo_finds_the_least_error) {
    for (const auto & [n, d] : {std::pair{60, 20}, std::pair{30, 80}}) {
        const auto s = random_problem(std::size_t(n), std::size_t(d), 1, unsigned(200 + d), true);
        ridge_options o;
        o.choice = lambda_choice::leave_one_out;
        const ridge_solution best = solved(s, o);
        CHECK_NEAR(best.loo_error[0], reference::left_out_error(s, best.alpha)[0], 1e-8 * best.loo_error[0]);
        for (double exponent = -5.9; exponent < 6; exponent += 0.1) {
            ridge_options one;
            one.lambdas = {std::pow(10.0, exponent)};
            CHECK(solved(s, one).loo_error[0] >= best.loo_error[0] * (1 - 1e-6));
        }
        compare(s, o, 1e-9);
    }
}

TEST(ridge_solver_single_precision_reaches_double_accuracy) {
    for (const auto & [n, d, k] : shapes) {
        const auto s = random_problem(n, d, k, unsigned(220 + d), true);
        if (n == 1) continue;
        ridge_options o;
        o.lambdas = {0.1, 10};
        o.precision = ridge_precision::f32;
        const auto got = solve_ridge(s.problem(), o);
        for (const auto & one : got) {
            CHECK_NEAR(reference::coefficient_error(s, one.coefficients, reference::ridge(s, one.alpha)), 0, 1e-11);
            if (one.notice.find("no float32 kernels") != std::string::npos) continue;
            // Well conditioned: no fallback.
            CHECK(one.precision == ridge_precision::f32 && one.notice.empty());
            CHECK(one.refinements > 0 && one.refinements < 10);
        }
    }
}

TEST(ridge_solver_single_precision_falls_back_with_a_notice) {
    auto s = random_problem(80, 12, 1, 240, false);
    for (std::size_t i = 0; i < s.n; i++) s.x[i * 12 + 11] = s.x[i * 12 + 10];  // singular but for lambda
    ridge_options o;
    o.lambdas = {1e-10};
    o.precision = ridge_precision::f32;
    const ridge_solution got = solved(s, o);
    CHECK(got.precision == ridge_precision::f64);
    CHECK(got.notice.find("float64") != std::string::npos);
    CHECK_NEAR(reference::coefficient_error(s, got.coefficients, reference::ridge(s, got.alpha)), 0, 1e-6);
}

TEST(ridge_solver_keeps_accuracy_where_columns_are_collinear) {
    // A sum of two columns, rounded to float32, and lambda: condition numbers up to 1e12. The loss is that of the
    // data's condition times 2^-53, with a margin of 100.
    for (const double lambda : {1e-4, 1e-8, 1e-11}) {
        auto s = random_problem(120, 10, 1, 250, true);
        for (std::size_t i = 0; i < s.n; i++) s.x[i * 10 + 9] = s.x[i * 10 + 8] + s.x[i * 10 + 7];
        ridge_options o;
        o.lambdas = {lambda};
        const ridge_solution got = solved(s, o);
        const double loss = reference::coefficient_error(s, got.coefficients, reference::ridge(s, got.alpha));
        CHECK(got.condition < 1e15);
        CHECK_NEAR(loss, 0, std::max(1e-12, 100 * got.condition * 1.2e-16));
    }
}

TEST(ridge_solver_does_not_mind_scales) {
    for (const double scale : {1e-6, 1.0, 1e6}) {
        auto s = random_problem(50, 20, 1, 260, true);
        for (auto & value : s.x) value = static_cast<float>(value * scale);
        for (auto & value : s.y) value *= 1e3 / scale;
        compare(s, {}, 1e-10);
        ridge_options dual;
        dual.form = ridge_form::dual;
        compare(s, dual, 1e-10);
    }
    auto mixed = random_problem(80, 12, 1, 261, false);
    for (std::size_t i = 0; i < mixed.x.size(); i++) mixed.x[i] *= i % 12 < 4 ? 1e-3F : i % 12 < 8 ? 1.0F : 1e3F;
    compare(mixed, absolute({1}), 1e-10);
}

TEST(ridge_solver_keeps_digits_beside_a_large_offset) {
    auto s = random_problem(60, 8, 1, 262, true);
    auto moved = s;
    for (auto & value : s.x) value = std::ldexp(std::round(std::ldexp(value, 8)), -8);
    for (std::size_t i = 0; i < s.x.size(); i++) moved.x[i] = s.x[i] + 4096;  // exact
    const ridge_solution here = solved(s, {}), there = solved(moved, {});
    CHECK_NEAR(worst(there.coefficients, here.coefficients), 0, 1e-11);
}

TEST(ridge_solver_residuals_are_those_of_its_predictions) {
    for (const bool intercept : {false, true}) {
        const auto s = random_problem(50, 9, 2, 270, true, intercept);
        ridge_options o;
        o.residuals = true;
        const ridge_solution got = solved(s, o);
        const auto fit = reference::ridge(s, got.alpha);
        CHECK_EQ(got.residuals.size(), s.n * s.k);
        for (std::size_t i = 0; i < s.n; i++) {
            for (std::size_t t = 0; t < s.k; t++) {
                CHECK_NEAR(got.residuals[i * s.k + t], s.y[i * s.k + t] - reference::predicted(s, fit, i, t), 1e-10);
            }
        }
        CHECK(solved(s, {}).residuals.empty());
    }
}

TEST(ridge_solver_weights_are_repetitions) {
    auto s = random_problem(30, 6, 1, 280, false);
    auto repeated = s;
    for (std::size_t i = 0; i < 30; i++) s.weights.push_back(double(i % 3));
    repeated.x.clear();
    repeated.y.clear();
    repeated.n = 0;
    for (std::size_t i = 0; i < 30; i++) {
        for (std::size_t times = 0; times < i % 3; times++) {
            repeated.x.insert(repeated.x.end(), &s.x[i * 6], &s.x[i * 6] + 6);
            repeated.y.push_back(s.y[i]);
            repeated.n++;
        }
    }
    CHECK_NEAR(worst(solved(s, {}).coefficients, solved(repeated, {}).coefficients), 0, 1e-12);
}

TEST(ridge_solver_reads_halves_and_strides) {
    for (const auto form : {ridge_form::primal, ridge_form::dual}) {
        auto s = random_problem(40, 10, 1, 290, true);
        std::vector<std::uint16_t> halves(s.x.size());
        to_half(s.x.data(), s.x.size(), halves.data());
        to_float(halves.data(), halves.size(), s.x.data());
        ridge_options o;
        o.form = form;
        const ridge_solution plain = solved(s, o);
        std::vector<float> padded(40 * 13, NAN);
        std::vector<std::uint16_t> padded_halves(40 * 11, 0x7e00);
        for (std::size_t i = 0; i < 40; i++) {
            std::copy_n(&s.x[i * 10], 10, &padded[i * 13]);
            std::copy_n(&halves[i * 10], 10, &padded_halves[i * 11]);
        }
        ridge_problem p = s.problem();
        p.features = {padded.data(), element_type::f32, 40, 10, 13, 0};
        CHECK(solve_ridge(p, o).front().coefficients == plain.coefficients);
        p.features = {padded_halves.data(), element_type::f16, 40, 10, 11, 0};
        CHECK(solve_ridge(p, o).front().coefficients == plain.coefficients);
    }
}

TEST(ridge_solver_condition_is_that_of_the_system) {
    // Orthogonal columns: the eigenvalues of X^T X are known.
    ridge_sample s{4, 2, 1, {1, 3, 1, -3, -1, 3, -1, -3}, {1, 2, 3, 4}, {}, false};
    const ridge_solution got = solved(s, absolute({2}));
    CHECK_NEAR(got.condition, (36.0 + 2) / (4.0 + 2), 1e-12);
    CHECK_NEAR(got.degrees_of_freedom, 36.0 / 38 + 4.0 / 6, 1e-12);
}
