// Measures of captured rows, and the search for the threshold that tells two classes of them.

#include "base/half.h"
#include "capture/row_measures.h"
#include "steering/threshold_search.h"

#include "check.h"

#include <cmath>
#include <limits>
#include <numeric>

using namespace llama_steer;

namespace {

/// Pseudo-random numbers in [-1, 1).
class numbers {
public:
    explicit numbers(uint32_t seed) : state_(seed) {}
    double next() {
        state_ = state_ * 1664525U + 1013904223U;
        return static_cast<double>(state_ >> 8) / double{1 << 23} - 1;
    }
    std::vector<float> floats(int64_t count) {
        std::vector<float> values(static_cast<size_t>(count));
        for (float & each : values) {
            each = static_cast<float>(next());
        }
        return values;
    }

private:
    uint32_t state_;
};

template <typename element>
stored_rows rows_of(const std::vector<element> & elements, int64_t width) {
    const element_type type = sizeof(element) == 4 ? element_type::f32 : element_type::f16;
    return {reinterpret_cast<const std::byte *>(elements.data()), type, static_cast<int64_t>(elements.size()) / width,
            width};
}

std::vector<double> measured(const stored_rows & rows, const std::vector<float> & direction, row_measure measure) {
    std::vector<double> values(static_cast<size_t>(rows.rows));
    measure_rows(rows, direction.data(), measure, {}, values.data());
    return values;
}

double product(const float * a, const float * b, int64_t width) {
    long double sum = 0;
    for (int64_t i = 0; i < width; ++i) {
        sum += static_cast<long double>(a[i]) * static_cast<long double>(b[i]);
    }
    return static_cast<double>(sum);
}

}  // namespace

TEST(row_measures_of_every_width) {
    for (const int64_t width : {1, 7, 8, 9, 511, 512, 513, 1025}) {
        numbers random(static_cast<uint32_t>(width));
        const std::vector<float> direction = random.floats(width);
        std::vector<float> elements = random.floats(5 * width);
        std::vector<uint16_t> halves(elements.size());
        to_half(elements.data(), elements.size(), halves.data());
        std::vector<float> rounded(elements.size());
        to_float(halves.data(), halves.size(), rounded.data());
        const double norm = std::sqrt(product(direction.data(), direction.data(), width));
        for (const bool half : {false, true}) {
            const std::vector<float> & exact = half ? rounded : elements;
            const stored_rows rows = half ? rows_of(halves, width) : rows_of(elements, width);
            const std::vector<double> projections = measured(rows, direction, row_measure::projection);
            const std::vector<double> cosines = measured(rows, direction, row_measure::cosine);
            double norms = 0;
            for (size_t row = 0; row < 5; ++row) {
                const float * const at = exact.data() + static_cast<int64_t>(row) * width;
                const double projection = product(at, direction.data(), width) / norm;
                const double length = std::sqrt(product(at, at, width));
                norms += length;
                CHECK_NEAR(projections[row], projection, 1e-13 * length);
                CHECK_NEAR(cosines[row], projection / length, 1e-13);
            }
            CHECK_NEAR(mean_norm(rows), norms / 5, 1e-13 * norms);
        }
    }
}

TEST(row_measures_of_extremes) {
    const float huge = std::numeric_limits<float>::max();
    const float tiny = std::numeric_limits<float>::denorm_min();
    const std::vector<float> elements = {huge, huge, tiny, -tiny, 0, 0, huge, -huge};
    const std::vector<double> cosines = measured(rows_of(elements, 2), {tiny, tiny}, row_measure::cosine);
    CHECK_NEAR(cosines[0], 1, 1e-15);
    CHECK_EQ(cosines[1], 0.0);
    CHECK_EQ(cosines[2], 0.0);
    CHECK_EQ(cosines[3], 0.0);
}

TEST(row_measures_refuse_what_has_none) {
    const float bad = std::numeric_limits<float>::quiet_NaN();
    const float endless = std::numeric_limits<float>::infinity();
    for (const float each : {bad, endless, -endless}) {
        const std::vector<float> elements = {1, 2, 3, each};
        const std::string message =
            CHECK_THROWS_CODE(measured(rows_of(elements, 2), {1, 1}, row_measure::cosine), error_code::NOT_FINITE);
        CHECK(message.find("row 1") != std::string::npos);
        CHECK_THROWS_CODE(mean_norm(rows_of(elements, 2)), error_code::NOT_FINITE);
        CHECK_THROWS_CODE(measured(rows_of(std::vector<float>{1, 2}, 2), {1, each}, row_measure::projection),
                          error_code::INVALID_ARGUMENT);
    }
    const std::vector<float> elements = {1, 2};
    CHECK_THROWS_CODE(measured(rows_of(elements, 2), {0, -0.0F}, row_measure::projection),
                      error_code::INVALID_ARGUMENT);
}

TEST(row_measures_stop_when_told) {
    const std::vector<float> elements(2000, 1.0F);
    std::vector<double> values(elements.size());
    int asked = 0;
    const auto measure = [&] {
        const float one = 1;
        measure_rows(
            rows_of(elements, 1), &one, row_measure::cosine, [&] { return ++asked == 3; }, values.data());
    };
    CHECK_THROWS_CODE(measure(), error_code::ABORTED);
    CHECK_EQ(asked, 3);
}

/// Against counts by hand at each threshold; the search itself is compared with brute force in test/find-condition.
TEST(threshold_between_classes) {
    const threshold_choice apart = search_threshold({3, 5, 4}, {0, 1}, condition_side::either);
    CHECK(apart.above);
    CHECK_EQ(apart.threshold, 2.0);
    CHECK_EQ(apart.f1, 1.0);
    CHECK_EQ(apart.margin, 0.4);
    const threshold_choice below = search_threshold({0, 1, 1, 1}, {1, 4}, condition_side::either);
    CHECK(!below.above);
    CHECK_EQ(below.threshold, 2.5);
    CHECK_EQ(below.f1, 8.0 / 9);
    CHECK_EQ(below.precision, 0.8);
    CHECK_EQ(below.recall, 1.0);
    const threshold_choice forced = search_threshold({0, 1, 1, 1}, {1, 4}, condition_side::above);
    CHECK(forced.above);
    CHECK_EQ(forced.threshold, 0.5);
    CHECK_EQ(forced.f1, 6.0 / 9);
}

/// No number lies between two neighbouring doubles: the threshold is the one that leaves both on their side.
TEST(threshold_between_neighbouring_numbers) {
    const double low = 1;
    const double high = std::nextafter(low, 2);
    const threshold_choice above = search_threshold({high}, {low}, condition_side::above);
    CHECK_EQ(above.f1, 1.0);
    CHECK(high > above.threshold && !(low > above.threshold));
    const threshold_choice below = search_threshold({low}, {high}, condition_side::below);
    CHECK_EQ(below.f1, 1.0);
    CHECK(low < below.threshold && !(high < below.threshold));
}

TEST(threshold_of_equal_values) {
    for (const condition_side side : {condition_side::above, condition_side::below, condition_side::either}) {
        const threshold_choice none = search_threshold({2, 2}, {2}, side);
        CHECK_EQ(none.threshold, 2.0);
        CHECK_EQ(none.f1, 0.0);
        CHECK_EQ(none.margin, 0.0);
        CHECK_EQ(none.above, side != condition_side::below);
    }
    CHECK_EQ(search_threshold({0.0}, {-0.0}, condition_side::either).f1, 0.0);
}
