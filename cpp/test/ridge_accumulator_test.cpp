// A ridge fit of rows that come in parts: the same as of all at once, in any order, merged or from moments.

#include "check.h"
#include "ridge_solver_reference.h"

#include "ridge/ridge_accumulator.h"
#include "ridge/ridge_solver.h"

#include <algorithm>
#include <limits>

using namespace llama_steer;
using namespace llama_steer::ridge;
using reference::random_problem;
using reference::ridge_sample;

namespace {

ridge_problem rows_of(const ridge_sample & s, std::size_t from, std::size_t to) {
    ridge_problem p = s.problem();
    p.features.data = s.x.data() + from * s.d;
    p.features.rows = to - from;
    p.targets = s.y.data() + from * s.k;
    if (p.weights) p.weights += from;
    return p;
}

ridge_accumulator accumulated(const ridge_sample & s, std::size_t from, std::size_t to) {
    ridge_accumulator out(s.d, s.k);
    out.add(rows_of(s, from, to));
    return out;
}

void compare(const std::vector<double> & got, const std::vector<double> & expected, double tolerance) {
    double size = 0;
    for (const double value : expected) size = std::max(size, std::fabs(value));
    CHECK_NEAR(reference::max_difference(got, expected), 0, tolerance * size);
}

void compare(const ridge_solution & got, const ridge_solution & expected) {
    compare(got.coefficients, expected.coefficients, 1e-10);
    compare(got.intercept, expected.intercept, 1e-10);
    CHECK_NEAR(got.alpha, expected.alpha, 1e-11 * expected.alpha);
    CHECK_NEAR(got.degrees_of_freedom, expected.degrees_of_freedom, 1e-9 * expected.degrees_of_freedom);
}

bool contains(const std::string & text, const char * part) { return text.find(part) != std::string::npos; }

}  // namespace

TEST(ridge_accumulator_in_parts_equals_whole) {
    for (const bool intercept : {false, true}) {
        for (const auto & [n, d] : {std::pair{90, 20}, std::pair{30, 45}}) {
            const auto s = random_problem(std::size_t(n), std::size_t(d), 2, unsigned(400 + d), true, intercept);
            for (const auto choice : {lambda_choice::relative, lambda_choice::absolute, lambda_choice::oas}) {
                ridge_options o;
                o.choice = choice;
                const ridge_solution whole = solve_ridge(s.problem(), o).front();
                const std::size_t third = s.n / 3;
                ridge_accumulator forward(s.d, 2), backward(s.d, 2);
                for (const std::size_t part : {0, 1, 2}) forward.add(rows_of(s, part * third, (part + 1) * third));
                for (const std::size_t part : {2, 0, 1}) backward.add(rows_of(s, part * third, (part + 1) * third));
                ridge_accumulator merged = accumulated(s, third, s.n);
                merged.merge(accumulated(s, 0, third));
                merged.merge(ridge_accumulator(s.d, 2));
                for (const auto * each : {&forward, &backward, &merged}) {
                    compare(each->solve(o, intercept).front(), whole);
                    CHECK_EQ(each->count(), s.n - s.n / 4);
                }
            }
        }
    }
}

TEST(ridge_accumulator_equals_definition) {
    const auto s = random_problem(50, 12, 3, 410, true);
    ridge_options o;
    o.choice = lambda_choice::absolute;
    o.lambdas = {0.5, 20};
    const auto path = accumulated(s, 0, 50).solve(o, true);
    for (const auto & one : path) {
        CHECK_NEAR(reference::coefficient_error(s, one.coefficients, reference::ridge(s, one.alpha)), 0, 1e-11);
        CHECK_NEAR(one.degrees_of_freedom, reference::freedom(s, one.alpha), 1e-9);
        CHECK(one.loo_error.empty() && one.residuals.empty());
    }
}

TEST(ridge_accumulator_takes_moments_of_classes) {
    // Two groups of rows with one target each, as the means and covariances of classes give it.
    auto s = random_problem(60, 9, 1, 420, true);
    moments_accumulator moments({{4}, 2, 9, second_moment::full});
    std::vector<std::int32_t> groups;
    for (std::size_t i = 0; i < s.n; i++) {
        groups.push_back(i % 5 < 2);
        s.y[i] = groups[i] ? 1 : -1;
    }
    moments.fold({{{s.x.data(), element_type::f32, s.n, 9, 9, 0}}, groups.data(), 0, s.weights.data()});
    ridge_accumulator from_moments(9, 1);
    const double values[] = {-1, 1};
    for (const std::size_t group : {0, 1}) from_moments.add(moments, 0, group, &values[group]);
    compare(from_moments.solve({}, true).front(), solve_ridge(s.problem(), {}).front());

    constexpr auto invalid = error_code::INVALID_ARGUMENT;
    const double bad = std::numeric_limits<double>::infinity();
    CHECK_THROWS_CODE(from_moments.add(moments, 0, 0, &bad), error_code::NOT_FINITE);
    CHECK_THROWS_CODE(from_moments.add(moments, 1, 0, values), invalid);
    CHECK_THROWS_CODE(from_moments.add(moments_accumulator({{4}, 1, 9, second_moment::full}), 0, 0, values),
                      error_code::EMPTY_CLASS);
    CHECK_THROWS_CODE(from_moments.add(moments_accumulator({{4}, 1, 9, second_moment::diagonal}), 0, 0, values),
                      invalid);
    CHECK_THROWS_CODE(ridge_accumulator(8, 1).add(moments, 0, 0, values), error_code::WIDTH_MISMATCH);
    compare(from_moments.solve({}, true).front(), solve_ridge(s.problem(), {}).front());
}

TEST(ridge_accumulator_keeps_digits_beside_a_large_offset) {
    auto s = random_problem(80, 6, 1, 430, false);
    for (auto & value : s.x) value = std::ldexp(std::round(std::ldexp(value, 8)), -8);
    auto moved = s;
    for (auto & value : moved.x) value += 4096;
    compare(accumulated(moved, 0, 80).solve({}, true).front().coefficients,
            solve_ridge(s.problem(), {}).front().coefficients, 1e-10);
}

TEST(ridge_accumulator_refuses_and_stays_as_it_was) {
    const auto s = random_problem(40, 5, 1, 440, true);
    ridge_accumulator rows = accumulated(s, 0, 40);
    const ridge_solution before = rows.solve({}, true).front();
    auto bad = s;
    bad.x[33 * 5 + 2] = std::numeric_limits<float>::quiet_NaN();
    CHECK(contains(CHECK_THROWS_CODE(rows.add(bad.problem()), error_code::NOT_FINITE), "row 33, column 2"));
    bad = s;
    bad.weights[1] = -1;
    CHECK_THROWS_CODE(rows.add(bad.problem()), error_code::INVALID_ARGUMENT);
    CHECK_THROWS_CODE(rows.add(random_problem(9, 6, 1, 441, false).problem()), error_code::WIDTH_MISMATCH);
    CHECK_THROWS_CODE(rows.add(random_problem(9, 5, 2, 442, false).problem()), error_code::WIDTH_MISMATCH);
    CHECK_THROWS_CODE(rows.merge(rows), error_code::INVALID_ARGUMENT);
    CHECK_THROWS_CODE(rows.merge(ridge_accumulator(6, 1)), error_code::WIDTH_MISMATCH);
    for (int stop = 0; stop < 2; stop++) {
        int asked = 0;
        CHECK_THROWS_CODE(rows.add(s.problem(), [&] { return asked++ == stop; }), error_code::ABORTED);
    }
    auto none = s;
    std::fill(none.weights.begin(), none.weights.end(), 0.0);
    rows.add(none.problem());
    const ridge_solution after = rows.solve({}, true).front();
    CHECK(after.coefficients == before.coefficients && after.intercept == before.intercept);
}

TEST(ridge_accumulator_refuses_what_it_cannot_solve) {
    constexpr auto invalid = error_code::INVALID_ARGUMENT;
    CHECK_THROWS_CODE(ridge_accumulator(0, 1), invalid);
    CHECK_THROWS_CODE(ridge_accumulator(1, 0), invalid);
    CHECK(contains(CHECK_THROWS_CODE(ridge_accumulator(100, 1, 1000), error_code::OUT_OF_MEMORY), "1000 bytes"));
    CHECK(contains(CHECK_THROWS_CODE(ridge_accumulator(3, 1).solve({}, true), error_code::EMPTY_CLASS), "no row"));
    const auto s = random_problem(10, 12, 1, 450, false);
    const ridge_accumulator rows = accumulated(s, 0, 10);
    ridge_options o;
    for (const auto choice : {lambda_choice::leave_one_out, lambda_choice::ledoit_wolf}) {
        o.choice = choice;
        CHECK(contains(CHECK_THROWS_CODE(rows.solve(o, true), invalid), "need the rows"));
    }
    o.choice = lambda_choice::absolute;
    o.lambdas = {0};
    CHECK_THROWS_CODE(rows.solve(o, true), error_code::SINGULAR_MATRIX);
    o.lambdas = {1, -1};
    CHECK_THROWS_CODE(rows.solve(o, true), invalid);
    o.lambdas = {1};
    o.memory_limit = 100;
    CHECK(contains(CHECK_THROWS_CODE(rows.solve(o, true), error_code::OUT_OF_MEMORY), "100 bytes"));
    o.memory_limit = 0;
    o.aborted = [] { return true; };
    CHECK_THROWS_CODE(rows.solve(o, true), error_code::ABORTED);
}
