// Moments, separation and condition numbers, each against its definition.

#include "check.h"
#include "ridge_direction_reference.h"

#include "ridge/blas.h"
#include "ridge/condition.h"
#include "ridge/moments.h"
#include "ridge/separation.h"

using namespace llama_steer;
using namespace llama_steer::ridge;

TEST(ridge_moments_equal_reference) {
    const std::size_t shapes[][2] = {{1, 1}, {1, 5}, {3, 2}, {64, 65}, {129, 33}, {4097, 3}, {4200, 2}};
    for (const auto & shape : shapes) {
        const auto s = reference::random_sample(shape[0], shape[1], 60);
        weighted_rows rows = all_rows(s.n);
        for (std::size_t i = 0; i < s.n; i++) rows.weights[i] = i % 3 == 1 ? 0 : 0.5 + double(i % 5);
        const auto got = weighted_moments({s.x.data(), s.n, s.d}, rows);
        CHECK_NEAR(reference::max_difference(got.mean, reference::mean(s.x, s.d, rows.weights)), 0, 1e-12);
        CHECK_NEAR(reference::max_difference(got.covariance, reference::covariance(s.x, s.d, rows.weights).data), 0,
                   1e-11);
    }
}

TEST(ridge_moments_keep_digits_beside_a_large_offset) {
    // The second moment minus the squared mean would keep none of the digits.
    const std::size_t n = 1000;
    std::vector<float> x(n);
    for (std::size_t i = 0; i < n; i++) x[i] = 1e6f + float(i % 2);
    const auto got = weighted_moments({x.data(), n, 1}, all_rows(n));
    CHECK_EQ(got.mean[0], 1000000.5);
    CHECK_NEAR(got.covariance[0], 0.25, 1e-12);
}

TEST(ridge_moments_of_equal_rows_are_exact) {
    std::vector<float> x;
    for (int i = 0; i < 7; i++) x.insert(x.end(), {0.1f, -3.7f, 1e-20f});
    weighted_rows rows = all_rows(7);
    for (auto & w : rows.weights) w = 0.1;
    const auto got = weighted_moments({x.data(), 7, 3}, rows);
    for (std::size_t j = 0; j < 3; j++) CHECK_EQ(got.mean[j], double(x[j]));
    for (const double value : got.covariance) CHECK_EQ(value, 0.0);
}

TEST(ridge_moments_refuse_bad_rows) {
    const std::vector<float> x(6, 1.0f);
    const matrix_view view(x.data(), 3, 2);
    CHECK_THROWS_CODE(weighted_mean(view, {{3}, {1}}), error_code::INVALID_ARGUMENT);
    CHECK_THROWS_CODE(weighted_mean(view, {{0, 1}, {1}}), error_code::INVALID_ARGUMENT);
    CHECK_THROWS_CODE(weighted_mean(view, {{0}, {-1}}), error_code::INVALID_ARGUMENT);
    CHECK_THROWS_CODE(weighted_mean(view, {{0}, {NAN}}), error_code::INVALID_ARGUMENT);
    CHECK_THROWS_CODE(weighted_mean(view, {{0, 2}, {0, 0}}), error_code::EMPTY_CLASS);
    CHECK_THROWS_CODE(weighted_mean(view, {}), error_code::EMPTY_CLASS);
}

TEST(ridge_separation_by_definition) {
    CHECK_EQ(area_under_curve({3, 4}, {1, 2}), 1.0);
    CHECK_EQ(area_under_curve({1, 2}, {3, 4}), 0.0);
    CHECK_EQ(area_under_curve({1, 2}, {1, 2}), 0.5);
    CHECK_EQ(area_under_curve({2, 2, 5}, {2, 1}), 5.0 / 6);
    CHECK(std::isnan(area_under_curve({}, {1})));

    CHECK_NEAR(cohens_d({3, 5}, {1, 3}), 2 / std::sqrt(2.0), 1e-15);
    CHECK(std::isinf(cohens_d({2, 2}, {1, 1})));
    CHECK(cohens_d({1, 1}, {2, 2}) < 0);
    CHECK(std::isnan(cohens_d({1}, {2})));

    CHECK_NEAR(correlation({1, 2, 3}, {2, 4, 6}), 1, 1e-15);
    CHECK_NEAR(correlation({1, 2, 3, 4}, {1, -1, -1, 1}), 0, 1e-15);
    CHECK(std::isnan(correlation({1, 1}, {1, 2})));
}

TEST(ridge_condition_of_known_matrices) {
    for (const std::size_t n : {std::size_t(1), std::size_t(2), std::size_t(50)}) {
        std::vector<double> a(n * n);
        for (std::size_t i = 0; i < n; i++) a[i * n + i] = double(i + 1);
        const matrix_f64 view(a.data(), n, n);
        const double size = symmetric_norm1(view);
        CHECK_EQ(size, double(n));
        CHECK_EQ(potrf(view), std::size_t(0));
        CHECK_NEAR(condition_estimate(view, size), double(n), 1e-9);
        CHECK_NEAR(smallest_pivot_share(view), 1, 1e-15);
    }
    // Hilbert's matrix of order 6: its 1-norm condition number is 29070279.
    std::vector<double> h(36);
    for (std::size_t i = 0; i < 6; i++) {
        for (std::size_t j = 0; j < 6; j++) h[i * 6 + j] = 1.0 / double(i + j + 1);
    }
    const matrix_f64 view(h.data(), 6, 6);
    const double size = symmetric_norm1(view);
    CHECK_EQ(potrf(view), std::size_t(0));
    CHECK_NEAR(condition_estimate(view, size) / 29070279.0, 1, 1e-6);
}
