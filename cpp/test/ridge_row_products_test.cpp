// Products with rows as they lie, and the solutions that come from nothing else, against their definitions.

#include "check.h"
#include "ridge_solver_reference.h"

#include "base/half.h"
#include "ridge/blas.h"
#include "ridge/builtin/row_kernel.h"
#include "ridge/row_krylov.h"

#include <algorithm>
#include <atomic>

using namespace llama_steer;
using namespace llama_steer::ridge;
using reference::random_problem;
using reference::ridge_sample;

namespace {

using wide = std::vector<long double>;

struct kernel_rows_sample {
    std::size_t cols;
    std::vector<float> x;
    std::vector<double> mean, p;
    const float * rows[builtin::kernel_rows];

    explicit kernel_rows_sample(std::size_t cols_) : cols(cols_) {
        reference::gaussian next{unsigned(cols_)};
        for (std::size_t i = 0; i < builtin::kernel_rows * cols; i++) x.push_back(float(3 + next()));
        for (std::size_t j = 0; j < cols; j++) {
            mean.push_back(3 + 0.1 * next());
            p.push_back(next());
        }
        for (std::size_t r = 0; r < builtin::kernel_rows; r++) rows[r] = &x[r * cols];
    }

    long double at(std::size_t r, std::size_t j) const { return (long double)(rows[r][j]) - mean[j]; }
};

void check_kernel(const builtin::row_kernel & kernel, std::size_t cols, std::size_t count) {
    const kernel_rows_sample s(cols);
    const double factors[] = {2, -1, 0.5, 3};
    double dots[builtin::kernel_rows], squares[builtin::kernel_rows];
    std::vector<double> out(cols, 1.0), written(cols);
    std::vector<float> single(cols);
    kernel.dots(count, cols, s.rows, s.mean.data(), s.p.data(), dots);
    kernel.squares(count, cols, s.rows, s.mean.data(), squares);
    kernel.add(count, cols, s.rows, s.mean.data(), factors, out.data());
    kernel.write(cols, s.rows[0], s.mean.data(), 0.7, written.data());
    kernel.write_single(cols, s.rows[0], s.mean.data(), 0.7, single.data());
    wide sums(cols, 1);
    for (std::size_t r = 0; r < count; r++) {
        long double dot = 0, square = 0, size = 0;
        for (std::size_t j = 0; j < cols; j++) {
            dot += s.at(r, j) * s.p[j];
            size += std::fabs(s.at(r, j) * s.p[j]);
            square += s.at(r, j) * s.at(r, j);
            sums[j] += factors[r] * s.at(r, j);
        }
        CHECK_NEAR(dots[r], double(dot), 1e-14 * double(size + 1));
        CHECK_NEAR(squares[r], double(square), 1e-14 * double(square + 1));
    }
    for (std::size_t j = 0; j < cols; j++) {
        CHECK_NEAR(out[j], double(sums[j]), 1e-14);
        CHECK_NEAR(written[j], double(0.7 * s.at(0, j)), 1e-15);
        CHECK_EQ(single[j], float(written[j]));
    }
}

/// Centred, weighted rows of positive weight, [n][d], and targets alike, [k][n].
struct prepared {
    std::vector<wide> x, y;

    explicit prepared(const ridge_sample & s) : y(s.k) {
        long double total = 0;
        for (std::size_t i = 0; i < s.n; i++) total += s.weight(i);
        wide mean(s.d, 0), target_mean(s.k, 0);
        for (std::size_t i = 0; s.intercept && i < s.n; i++) {
            for (std::size_t j = 0; j < s.d; j++) mean[j] += s.weight(i) * s.x[i * s.d + j] / total;
            for (std::size_t t = 0; t < s.k; t++) target_mean[t] += s.weight(i) * s.y[i * s.k + t] / total;
        }
        for (std::size_t i = 0; i < s.n; i++) {
            if (s.weight(i) == 0) continue;
            const long double root = std::sqrt((long double)(s.weight(i)));
            x.emplace_back();
            for (std::size_t j = 0; j < s.d; j++) x.back().push_back(root * (s.x[i * s.d + j] - mean[j]));
            for (std::size_t t = 0; t < s.k; t++) y[t].push_back(root * (s.y[i * s.k + t] - target_mean[t]));
        }
    }

    /// c X
    wide transposed(const wide & c) const {
        wide out(x.front().size(), 0);
        for (std::size_t i = 0; i < x.size(); i++) {
            for (std::size_t j = 0; j < out.size(); j++) out[j] += c[i] * x[i][j];
        }
        return out;
    }
    /// b X^T
    wide times(const double * b) const {
        wide out(x.size(), 0);
        for (std::size_t i = 0; i < x.size(); i++) {
            for (std::size_t j = 0; j < x[i].size(); j++) out[i] += b[j] * x[i][j];
        }
        return out;
    }
};

double off(const double * got, const wide & expected) {
    long double difference = 0, size = 0;
    for (std::size_t i = 0; i < expected.size(); i++) {
        difference += (got[i] - expected[i]) * (got[i] - expected[i]);
        size += expected[i] * expected[i];
    }
    return double(std::sqrt(difference / size));
}

void check_products(const ridge_sample & s, std::size_t vectors) {
    const prepared p(s);
    const ridge_problem problem = s.problem();
    const abort_check never;
    const ridge_rows rows(problem, never);
    const std::size_t n = p.x.size(), d = s.d;
    CHECK_EQ(rows.count(), n);
    reference::gaussian next(unsigned(n + d));
    std::vector<double> b(vectors * d), c(vectors * n), out_n(vectors * n), out_d(vectors * d);
    for (auto & value : b) value = next();
    for (auto & value : c) value = next();
    const const_matrix_f64 bv(b.data(), vectors, d), cv(c.data(), vectors, n);
    const matrix_f64 nv(out_n.data(), vectors, n), dv(out_d.data(), vectors, d);

    rows.multiply(bv, nv);
    for (std::size_t t = 0; t < vectors; t++) CHECK_NEAR(off(nv.row(t), p.times(bv.row(t))), 0, 1e-13);
    rows.multiply_transposed(cv, dv);
    for (std::size_t t = 0; t < vectors; t++) {
        CHECK_NEAR(off(dv.row(t), p.transposed(wide(cv.row(t), cv.row(t) + n))), 0, 1e-13);
    }
    rows.multiply_gram(bv, dv);
    for (std::size_t t = 0; t < vectors; t++) CHECK_NEAR(off(dv.row(t), p.transposed(p.times(bv.row(t)))), 0, 1e-13);
    if (vectors % s.k == 0) {
        rows.normal_residual(bv, dv);
        for (std::size_t t = 0; t < vectors; t++) {
            wide error = p.y[t % s.k];
            const wide predicted = p.times(bv.row(t));
            for (std::size_t i = 0; i < n; i++) error[i] -= predicted[i];
            CHECK_NEAR(off(dv.row(t), p.transposed(error)), 0, 1e-12);
        }
    }
    long double trace = 0;
    for (const wide & row : p.x) {
        for (const long double value : row) trace += value * value;
    }
    CHECK_NEAR(rows.trace(), double(trace), 1e-13 * double(trace));
}

std::vector<double> by_rows(const ridge_sample & s, const std::vector<double> & alphas, std::size_t most) {
    const ridge_problem problem = s.problem();
    const abort_check never;
    const ridge_rows rows(problem, never);
    return solve_by_rows(rows, alphas, most, [](double) {});
}

ridge_options quick(std::vector<double> lambdas, ridge_method method) {
    ridge_options o;
    o.diagnostics = false;
    o.lambdas = std::move(lambdas);
    o.method = method;
    return o;
}

}  // namespace

TEST(ridge_row_kernels_equal_definition) {
    for (const std::size_t cols : {1, 3, 4, 7, 8, 11, 64, 129, 1000}) {
        for (std::size_t count = 1; count <= builtin::kernel_rows; count++) {
            check_kernel(builtin::plain_row_kernel(), cols, count);
            check_kernel(builtin::best_row_kernel(), cols, count);
        }
    }
}

TEST(ridge_row_products_equal_definition) {
    for (const auto & [n, d, k] : {std::tuple<int, int, int>{9, 5, 1}, {40, 13, 2}, {7, 50, 1}, {257, 33, 3}}) {
        for (const bool weighted : {false, true}) {
            for (const bool intercept : {false, true}) {
                const auto s = random_problem(n, d, k, unsigned(500 + n), weighted, intercept);
                // Few vectors go through the row kernels, many through the BLAS.
                for (const std::size_t vectors : {1, 2, 3, 6}) check_products(s, vectors);
            }
        }
    }
}

TEST(ridge_row_products_do_not_depend_on_threads) {
    // Enough numbers for several parts.
    const auto s = random_problem(3000, 400, 1, 510, true);
    set_threads(3);
    check_products(s, 2);
    const ridge_solution three = solve_ridge(s.problem(), quick({1}, ridge_method::rows)).front();
    set_threads(1);
    check_products(s, 2);
    const ridge_solution one = solve_ridge(s.problem(), quick({1}, ridge_method::rows)).front();
    set_threads(0);
    CHECK(three.solver == ridge_solver::lanczos && one.solver == ridge_solver::lanczos);
    double largest = 0;
    for (const double value : one.coefficients) largest = std::max(largest, std::fabs(value));
    CHECK_NEAR(reference::max_difference(three.coefficients, one.coefficients), 0, 1e-12 * largest);
}

TEST(ridge_by_rows_equals_definition) {
    for (const auto & [n, d, k] : {std::tuple<int, int, int>{40, 1, 1}, {12, 30, 3}, {33, 32, 1}, {120, 40, 2}}) {
        for (const bool weighted : {false, true}) {
            for (const bool intercept : {false, true}) {
                const auto s = random_problem(n, d, k, unsigned(520 + d), weighted, intercept);
                const double unit = reference::mean_eigenvalue(s);
                const std::vector<double> alphas = {10 * unit, 0.1 * unit, unit};
                const auto found = by_rows(s, alphas, 100);
                CHECK_EQ(found.size(), 3 * s.k * s.d);
                for (std::size_t a = 0; a < alphas.size(); a++) {
                    const std::vector<double> one(found.begin() + std::ptrdiff_t(a * s.k * s.d),
                                                  found.begin() + std::ptrdiff_t((a + 1) * s.k * s.d));
                    CHECK_NEAR(reference::coefficient_error(s, one, reference::ridge(s, alphas[a])), 0, 1e-10);
                }
            }
        }
    }
}

TEST(ridge_by_rows_gives_up_rather_than_lose_digits) {
    const auto s = random_problem(200, 60, 1, 530, true);
    const double unit = reference::mean_eigenvalue(s);
    CHECK(by_rows(s, {unit}, 60).size() == 60);
    CHECK(by_rows(s, {unit}, 3).empty());           // too few steps
    CHECK(by_rows(s, {1e-9 * unit}, 200).empty());  // too badly conditioned
    CHECK(by_rows(s, {unit, 0}, 60).empty());
    auto huge = s;
    for (auto & value : huge.x) value *= 1e30F;
    for (auto & value : huge.y) value *= 1e290;
    CHECK(by_rows(huge, {1}, 60).empty());
    // The solver then takes the factor.
    for (const double lambda : {1e-9, 0.0}) {
        const ridge_solution got = solve_ridge(s.problem(), quick({lambda}, ridge_method::rows)).front();
        CHECK(got.solver == ridge_solver::cholesky && got.precision == ridge_precision::f64);
        CHECK_NEAR(reference::coefficient_error(s, got.coefficients, reference::ridge(s, got.alpha)), 0, 1e-10);
    }
}

TEST(ridge_by_rows_of_targets_that_nothing_explains_is_zero) {
    auto s = random_problem(30, 4, 2, 540, false);
    for (std::size_t i = 0; i < s.n; i++) s.y[2 * i] = 7;  // equals its mean
    const ridge_solution got = solve_ridge(s.problem(), quick({1}, ridge_method::rows)).front();
    CHECK(got.solver == ridge_solver::lanczos);
    for (std::size_t j = 0; j < 4; j++) CHECK_EQ(got.coefficients[j], 0.0);
    CHECK_EQ(got.intercept[0], 7.0);
    CHECK_NEAR(reference::coefficient_error(s, got.coefficients, reference::ridge(s, got.alpha)), 0, 1e-10);
}

TEST(ridge_by_rows_reads_halves_strides_and_large_offsets) {
    auto s = random_problem(80, 20, 1, 550, true);
    std::vector<std::uint16_t> halves(s.x.size());
    to_half(s.x.data(), s.x.size(), halves.data());
    to_float(halves.data(), halves.size(), s.x.data());
    const ridge_options o = quick({1}, ridge_method::rows);
    const ridge_solution plain = solve_ridge(s.problem(), o).front();
    CHECK(plain.solver == ridge_solver::lanczos);
    std::vector<std::uint16_t> padded(80 * 23, 0x7e00);
    for (std::size_t i = 0; i < 80; i++) std::copy_n(&halves[i * 20], 20, &padded[i * 23]);
    ridge_problem p = s.problem();
    p.features = {padded.data(), element_type::f16, 80, 20, 23, 0};
    CHECK(solve_ridge(p, o).front().coefficients == plain.coefficients);

    auto moved = s;
    for (auto & value : s.x) value = std::ldexp(std::round(std::ldexp(value, 8)), -8);
    for (std::size_t i = 0; i < s.x.size(); i++) moved.x[i] = s.x[i] + 4096;  // exact
    const auto here = solve_ridge(s.problem(), o).front(), there = solve_ridge(moved.problem(), o).front();
    CHECK_NEAR(reference::max_difference(here.coefficients, there.coefficients), 0, 1e-11);
}

TEST(ridge_by_rows_hears_an_abort_and_reports) {
    const auto s = random_problem(300, 100, 1, 560, false);
    ridge_options o = quick({1}, ridge_method::rows);
    std::atomic<int> asked{0};
    o.aborted = [&] { return ++asked > 8; };
    CHECK_THROWS_CODE(solve_ridge(s.problem(), o), error_code::ABORTED);
    CHECK(asked > 8 && asked < 12);
    o.aborted = {};
    std::vector<double> fractions;
    o.progress = [&](double fraction) { fractions.push_back(fraction); };
    CHECK(solve_ridge(s.problem(), o).front().solver == ridge_solver::lanczos);
    CHECK(fractions.size() > 3 && fractions.back() == 1);
    CHECK(std::is_sorted(fractions.begin(), fractions.end()));
    // In vain, and then by a factor.
    fractions.clear();
    o.lambdas = {1e-9};
    CHECK(solve_ridge(s.problem(), o).front().solver == ridge_solver::cholesky);
    CHECK(std::is_sorted(fractions.begin(), fractions.end()) && fractions.back() == 1);
}

TEST(ridge_automatic_method_weighs_the_costs) {
    ridge_options o = quick({1}, ridge_method::automatic);
    const auto steps = [&](std::size_t n, std::size_t d, std::size_t k) { return row_steps(n, d, k, o); };
    CHECK(steps(20000, 4096, 1) > 150);
    CHECK_EQ(steps(20000, 400, 1), std::size_t(0));   // the matrix is cheap
    CHECK_EQ(steps(300, 4096, 1), std::size_t(0));    // and so is the dual one
    CHECK_EQ(steps(20000, 4096, 4), std::size_t(0));  // many targets share a factor
    CHECK(steps(20000, 4096, 3) < steps(20000, 4096, 1));
    for (const auto & change : std::vector<std::function<void(ridge_options &)>>{
             [](ridge_options & x) { x.diagnostics = true; },
             [](ridge_options & x) { x.method = ridge_method::matrix; },
             [](ridge_options & x) { x.precision = ridge_precision::f32; },
             [](ridge_options & x) { x.form = ridge_form::dual; },
             [](ridge_options & x) { x.choice = lambda_choice::oas; },
             [](ridge_options & x) { x.choice = lambda_choice::leave_one_out; },
         }) {
        ridge_options other = o;
        change(other);
        CHECK_EQ(row_steps(20000, 4096, 1, other), std::size_t(0));
    }
}

TEST(ridge_automatic_precision_is_float32_where_that_is_safe) {
    const auto s = random_problem(120, 30, 5, 570, true);
    ridge_options o = quick({0.3}, ridge_method::automatic);
    o.precision = ridge_precision::automatic;
    const ridge_solution safe = solve_ridge(s.problem(), o).front();
    o.lambdas = {1e-9};
    const ridge_solution unsafe = solve_ridge(s.problem(), o).front();
    o.lambdas = {0.3};
    o.diagnostics = true;
    const ridge_solution told = solve_ridge(s.problem(), o).front();
    CHECK(unsafe.precision == ridge_precision::f64 && told.precision == ridge_precision::f64);
    CHECK(told.loo_error.size() == 5);
    for (const ridge_solution * each : {&safe, &unsafe, &told}) {
        CHECK(each->notice.empty() && each->solver == ridge_solver::cholesky);
        const auto expected = reference::ridge(s, each->alpha);
        CHECK_NEAR(reference::coefficient_error(s, each->coefficients, expected), 0, 1e-10);
    }
    if (std::string(LLAMA_STEER_TEST_BLAS) != "builtin") {
        CHECK(safe.precision == ridge_precision::f32 && safe.refinements > 0);
    } else {
        CHECK(safe.precision == ridge_precision::f64);
    }
}

TEST(ridge_copies_count_against_the_memory_limit) {
    ridge_options o;
    const std::size_t plain = ridge_bytes(200, 150, 1, o);
    o.copied_bytes = 123456;
    CHECK_EQ(ridge_bytes(200, 150, 1, o), plain + 123456);
    const auto s = random_problem(200, 150, 1, 580, false);
    o.memory_limit = plain + 123455;
    CHECK_THROWS_CODE(solve_ridge(s.problem(), o), error_code::OUT_OF_MEMORY);
    o.memory_limit++;
    CHECK_EQ(solve_ridge(s.problem(), o).front().coefficients.size(), std::size_t(150));
}
