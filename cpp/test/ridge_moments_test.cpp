// Running moments: against the definition and against weighted_moments, in any division and order, and all or nothing.

#include "check.h"
#include "ridge_moments_reference.h"

#include "base/half.h"
#include "ridge/moments.h"

#include <algorithm>
#include <atomic>
#include <cstring>
#include <limits>

using namespace llama_steer;
using namespace llama_steer::ridge;
using reference::block;
using reference::random_block;
using reference::shape_of;

namespace {

constexpr auto by_weight = normalization::weight;

std::vector<double> covariance_of(const moments_accumulator & from, std::size_t l, std::size_t g,
                                  normalization by = by_weight) {
    const std::size_t d = from.shape().width;
    std::vector<double> out(d * d);
    from.covariance(l, g, by, {out.data(), d, d});
    return out;
}

std::vector<double> variance_of(const moments_accumulator & from, std::size_t l, std::size_t g,
                                normalization by = by_weight) {
    std::vector<double> out(from.shape().width);
    from.variance(l, g, by, out.data());
    return out;
}

std::vector<double> mean_of(const moments_accumulator & from, std::size_t l, std::size_t g) {
    const double * mean = from.mean(l, g);
    return std::vector<double>(mean, mean + from.shape().width);
}

// Every number that an accumulator has, bit for bit.
std::vector<double> everything(const moments_accumulator & from) {
    std::vector<double> all;
    for (std::size_t l = 0; l < from.shape().layers.size(); l++) {
        for (std::size_t g = 0; g < from.shape().groups; g++) {
            const weight_sums sums = from.sums(l, g);
            all.insert(all.end(), {double(sums.count), sums.weight, sums.squares});
            if (sums.count == 0) continue;
            const double *mean = from.mean(l, g), *second = from.second(l, g);
            all.insert(all.end(), mean, mean + from.shape().width);
            all.insert(all.end(), second, second + from.shape().second_size());
        }
    }
    return all;
}

void check_against(const moments_accumulator & got, const block & rows, std::size_t groups, double tolerance) {
    for (std::size_t l = 0; l < rows.layers; l++) {
        for (std::size_t g = 0; g < groups; g++) {
            const auto expected = rows.moments(l, std::int32_t(g));
            const auto sums = got.sums(l, g);
            CHECK_NEAR(sums.weight, expected.weight, 1e-12 * expected.weight);
            CHECK_NEAR(sums.effective(), expected.weight * expected.weight / expected.squares, 1e-9);
            CHECK_NEAR(reference::max_difference(mean_of(got, l, g), expected.mean), 0, tolerance);
            CHECK_NEAR(reference::max_difference(covariance_of(got, l, g), expected.covariance), 0, tolerance);
            const double unbiased = 1 - expected.squares / expected.weight / expected.weight;
            auto scaled = expected.covariance;
            for (auto & value : scaled) value /= unbiased;
            CHECK_NEAR(reference::max_difference(covariance_of(got, l, g, normalization::unbiased), scaled), 0,
                       tolerance / unbiased);
        }
    }
}

}  // namespace

TEST(ridge_running_moments_equal_the_definition_however_rows_are_divided) {
    const std::size_t shapes[][3] = {{1, 12, 1}, {3, 60, 5}, {2, 90, 70}, {1, 200, 260}};
    for (const auto & shape : shapes) {
        const block rows = random_block(shape[0], shape[1], shape[2], 2, 7);
        for (const std::size_t step : {std::size_t(1), std::size_t(13), rows.rows}) {
            moments_accumulator got(shape_of(rows, 2));
            for (std::size_t first = 0; first < rows.rows; first += step) {
                got.fold(rows.part(first, std::min(step, rows.rows - first)));
            }
            check_against(got, rows, 2, 1e-11);
        }
    }
}

TEST(ridge_running_moments_agree_with_weighted_moments) {
    const block rows = random_block(1, 500, 33, 1, 8);
    moments_accumulator got(shape_of(rows, 1));
    for (std::size_t first = 0; first < rows.rows; first += 100) got.fold(rows.part(first, 100));
    weighted_rows chosen;
    for (std::size_t i = 0; i < rows.rows; i++) {
        if (rows.groups[i] < 0) continue;
        chosen.rows.push_back(i);
        chosen.weights.push_back(rows.weights[i]);
    }
    const auto expected = weighted_moments({rows.x.data(), rows.rows, rows.width}, chosen);
    CHECK_NEAR(got.sums(0, 0).weight, expected.weight_sum, 1e-10);
    CHECK_NEAR(reference::max_difference(mean_of(got, 0, 0), expected.mean), 0, 1e-12);
    CHECK_NEAR(reference::max_difference(covariance_of(got, 0, 0), expected.covariance), 0, 1e-12);
}

TEST(ridge_running_moments_merge_in_any_order) {
    const block rows = random_block(2, 90, 6, 3, 9);
    std::vector<moments_accumulator> parts;
    for (std::size_t p = 0; p < 4; p++) {
        parts.emplace_back(shape_of(rows, 3));
        if (p > 0) parts[p].fold(rows.part(30 * (p - 1), 30));
    }
    std::vector<std::size_t> order{0, 1, 2, 3};
    do {
        moments_accumulator got(shape_of(rows, 3));
        for (const std::size_t p : order) got.merge(parts[p]);
        check_against(got, rows, 3, 1e-12);
    } while (std::next_permutation(order.begin(), order.end()));
}

TEST(ridge_running_moments_keep_digits_beside_a_large_offset) {
    // float32 has steps of 0.06 at 1e6, so that a spread of 1e-3 there shows as a few rows one step away; at 100 it is
    // resolved. The second moment minus the squared mean would keep no digit of either.
    const double cases[][3] = {{1e6, 1e-3, 1e-12}, {1e6, 0.1, 1e-11}, {100, 1e-3, 1e-15}};
    for (const auto & one : cases) {
        const block rows = random_block(1, 2000, 3, 1, 10, one[0], one[1]);
        moments_accumulator whole(shape_of(rows, 1)), divided(shape_of(rows, 1));
        whole.fold(rows.all());
        for (std::size_t first = 0; first < rows.rows; first += 8) divided.fold(rows.part(first, 8));
        const auto expected = rows.moments(0, 0);
        for (const auto * got : {&whole, &divided}) {
            CHECK_NEAR(reference::max_difference(mean_of(*got, 0, 0), expected.mean), 0, 1e-9);
            CHECK_NEAR(reference::max_difference(covariance_of(*got, 0, 0), expected.covariance), 0, one[2]);
        }
    }
}

TEST(ridge_running_moments_of_equal_rows_are_exact) {
    const std::vector<float> x{0.1f, -3.7f, 1e-20f, 0.1f, -3.7f, 1e-20f};
    const std::vector<double> weights{0.1, 0.7};
    moments_accumulator got({{4}, 1, 3, second_moment::full});
    for (int i = 0; i < 5; i++) got.fold({{{x.data(), element_type::f32, 2, 3, 3}}, nullptr, 0, weights.data()});
    for (std::size_t j = 0; j < 3; j++) CHECK_EQ(got.mean(0, 0)[j], double(x[j]));
    for (const double value : covariance_of(got, 0, 0)) CHECK_EQ(value, 0.0);
    CHECK_EQ(got.sums(0, 0).count, std::uint64_t(10));
}

TEST(ridge_running_moments_of_a_million_rows) {
    const std::size_t step = 10000, d = 3;
    moments_accumulator got({{0}, 1, d, second_moment::full});
    reference::gaussian next(11);
    std::vector<float> x(step * d);
    std::vector<long double> sum(d), square(d * d);
    for (int fold = 0; fold < 100; fold++) {
        for (auto & value : x) value = float(50 + next.uniform());
        got.fold({{{x.data(), element_type::f32, step, d, d}}, nullptr, 0, nullptr});
        for (std::size_t i = 0; i < step; i++) {
            for (std::size_t a = 0; a < d; a++) {
                sum[a] += x[i * d + a] - 50.5L;
                for (std::size_t b = 0; b < d; b++) {
                    square[a * d + b] += (x[i * d + a] - 50.5L) * (x[i * d + b] - 50.5L);
                }
            }
        }
    }
    const long double n = 1e6L;
    CHECK_EQ(got.sums(0, 0).count, std::uint64_t(1000000));
    CHECK_EQ(got.sums(0, 0).effective(), 1e6);
    const auto covariance = covariance_of(got, 0, 0);
    for (std::size_t a = 0; a < d; a++) {
        CHECK_NEAR(got.mean(0, 0)[a], double(50.5L + sum[a] / n), 1e-12);
        for (std::size_t b = 0; b < d; b++) {
            const long double expected = square[a * d + b] / n - sum[a] / n * (sum[b] / n);
            CHECK_NEAR(covariance[a * d + b], double(expected), 1e-12);
        }
    }
}

TEST(ridge_running_moments_diagonal_and_none) {
    const block rows = random_block(2, 80, 9, 2, 12);
    moments_accumulator full(shape_of(rows, 2)), diagonal(shape_of(rows, 2, second_moment::diagonal)),
        none(shape_of(rows, 2, second_moment::none));
    for (auto * each : {&full, &diagonal, &none}) {
        for (std::size_t first = 0; first < rows.rows; first += 20) each->fold(rows.part(first, 20));
    }
    for (std::size_t l = 0; l < 2; l++) {
        CHECK_EQ(reference::max_difference(mean_of(none, l, 1), mean_of(full, l, 1)), 0.0);
        for (const auto by : {by_weight, normalization::unbiased}) {
            CHECK_NEAR(reference::max_difference(variance_of(full, l, 1, by), variance_of(diagonal, l, 1, by)), 0,
                       1e-12);
        }
    }
    CHECK_THROWS_CODE(covariance_of(diagonal, 0, 0), error_code::INVALID_ARGUMENT);
    CHECK_THROWS_CODE(variance_of(none, 0, 0), error_code::INVALID_ARGUMENT);
}

TEST(ridge_running_moments_read_half_rows) {
    // Every finite half, as float32 and as its bits.
    std::vector<std::uint16_t> half;
    std::vector<float> plain;
    for (unsigned bits = 0; bits < 0x10000; bits++) {
        const double value = half_to_double(std::uint16_t(bits));
        CHECK_EQ(std::isfinite(value), (bits & 0x7c00) != 0x7c00);
        if (!std::isfinite(value)) continue;
        half.push_back(std::uint16_t(bits));
        plain.push_back(float(value));
    }
    CHECK_EQ(half_to_double(0x3c00), 1.0);
    CHECK_EQ(half_to_double(0xc000), -2.0);
    CHECK_EQ(half_to_double(0x7bff), 65504.0);
    CHECK_EQ(half_to_double(0x0001), 0x1p-24);
    CHECK_EQ(half_to_double(0x83ff), -1023 * 0x1p-24);
    const std::size_t d = 4, rows = half.size() / d;
    for (const auto second : {second_moment::full, second_moment::diagonal}) {
        moments_accumulator a({{0}, 1, d, second}), b({{0}, 1, d, second});
        a.fold({{{half.data(), element_type::f16, rows / 2, d, 2 * d}}, nullptr, 0, nullptr});
        b.fold({{{plain.data(), element_type::f32, rows / 2, d, 2 * d}}, nullptr, 0, nullptr});
        CHECK_EQ(reference::max_difference(everything(a), everything(b)), 0.0);
    }
    half[6] = 0x7c00;
    moments_accumulator refuses({{5}, 1, d, second_moment::full});
    const std::string message = CHECK_THROWS_CODE(
        refuses.fold({{{half.data(), element_type::f16, rows, d, d}}, nullptr, 0, nullptr}), error_code::NOT_FINITE);
    CHECK(message.find("layer 5: rows[row 1, column 2] is infinity") != std::string::npos);
}

TEST(ridge_running_moments_leave_out_what_does_not_count) {
    const float nan = std::numeric_limits<float>::quiet_NaN();
    const std::vector<float> x{1, 2, nan, nan, 5, 8, nan, nan};
    const std::vector<std::int32_t> groups{1, -1, 1, 0};
    const std::vector<double> weights{1, 1, 3, 0};
    moments_accumulator got({{0}, 3, 2, second_moment::full});
    got.fold({{{x.data(), element_type::f32, 4, 2, 2}}, groups.data(), 0, weights.data()});
    CHECK_EQ(got.sums(0, 0).count, std::uint64_t(0));
    CHECK_EQ(got.sums(0, 1).count, std::uint64_t(2));
    CHECK_EQ(got.sums(0, 1).weight, 4.0);
    CHECK_EQ(got.sums(0, 1).effective(), 1.6);
    CHECK_EQ(got.sums(0, 2).effective(), 0.0);
    CHECK_EQ(got.mean(0, 1)[1], 6.5);
    CHECK_EQ(covariance_of(got, 0, 1)[1], (1 * -3 * -4.5 + 3 * 1 * 1.5) / 4);
    CHECK_THROWS_CODE(got.mean(0, 2), error_code::EMPTY_CLASS);
    CHECK_THROWS_CODE(covariance_of(got, 0, 0), error_code::EMPTY_CLASS);
    const std::vector<std::int32_t> nobody(4, -1);
    const auto before = everything(got);
    got.fold({{{x.data(), element_type::f32, 4, 2, 2}}, nobody.data(), 0, nullptr});
    got.fold({{{nullptr, element_type::f32, 0, 2, 0}}, nullptr, 0, nullptr});
    CHECK_EQ(reference::max_difference(everything(got), before), 0.0);
}

TEST(ridge_running_moments_of_one_row) {
    const std::vector<float> x{3, -4};
    moments_accumulator got({{0}, 1, 2, second_moment::full});
    got.fold({{{x.data(), element_type::f32, 1, 2, 2}}, nullptr, 0, nullptr});
    CHECK_EQ(got.mean(0, 0)[1], -4.0);
    CHECK_EQ(covariance_of(got, 0, 0)[3], 0.0);
    CHECK_THROWS_CODE(covariance_of(got, 0, 0, normalization::unbiased), error_code::INVALID_ARGUMENT);
    const double heavy = 1e100, light = 1e-100;
    got.fold({{{x.data(), element_type::f32, 1, 2, 2}}, nullptr, 0, &heavy});
    got.fold({{{x.data(), element_type::f32, 1, 2, 2}}, nullptr, 0, &light});
    CHECK_THROWS_CODE(variance_of(got, 0, 0, normalization::unbiased), error_code::INVALID_ARGUMENT);
    CHECK_EQ(variance_of(got, 0, 0)[0], 0.0);
}

TEST(ridge_running_moments_survive_extreme_values) {
    const float big = std::numeric_limits<float>::max();
    const std::vector<float> x{big, -big, -big, big, 1e-44f, 0};
    for (const double weight : {1e100, 1.0, 1e-100}) {
        const std::vector<double> weights(3, weight);
        moments_accumulator got({{0}, 1, 2, second_moment::full});
        for (int i = 0; i < 3; i++) got.fold({{{x.data(), element_type::f32, 3, 2, 2}}, nullptr, 0, weights.data()});
        for (const double value : everything(got)) CHECK(std::isfinite(value));
        CHECK_NEAR(covariance_of(got, 0, 0)[0] / (double(big) * double(big)), 2.0 / 3, 1e-12);
    }
}
