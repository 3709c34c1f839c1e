// Against float64, at counts that are no multiple of anything.

#include "base/log_sum_exp.h"
#include "check.h"
#include "testbed.h"

#include <algorithm>
#include <cmath>
#include <limits>
#include <vector>

using namespace llama_steer;

namespace {

constexpr float infinity = std::numeric_limits<float>::infinity();

double expected(const std::vector<float> & logits) {
    const auto largest = static_cast<double>(*std::max_element(logits.begin(), logits.end()));
    double sum = 0;
    for (const float each : logits) {
        sum += std::exp(static_cast<double>(each) - largest);
    }
    return largest + std::log(sum);
}

}  // namespace

TEST(log_sum_exp_equals_float64) {
    testbed::generator random(1);
    for (const size_t count : {size_t{1}, size_t{5}, size_t{63}, size_t{64}, size_t{65}, size_t{899}, size_t{151936}}) {
        for (const float spread : {0.0F, 1.0F, 20.0F, 300.0F}) {
            std::vector<float> logits(count);
            for (float & each : logits) {
                each = spread * random() + 7;
            }
            CHECK_NEAR(log_sum_exp(logits.data(), static_cast<int64_t>(count)), expected(logits), 1e-6);
            logits[count / 2] = -infinity;
            if (count > 1) {
                CHECK_NEAR(log_sum_exp(logits.data(), static_cast<int64_t>(count)), expected(logits), 1e-6);
            }
        }
    }
}

TEST(log_sum_exp_of_what_is_not_finite) {
    const std::vector<float> nothing(100, -infinity);
    CHECK_EQ(log_sum_exp(nothing.data(), 100), static_cast<double>(-infinity));
    std::vector<float> large(100, 3e38F);
    CHECK_NEAR(log_sum_exp(large.data(), 100) / 3e38, 1, 1e-6);
    for (size_t at : {size_t{0}, size_t{70}, size_t{99}}) {
        std::vector<float> one(100, -infinity);
        one[at] = -5;
        CHECK_EQ(log_sum_exp(one.data(), 100), -5.0);
    }
}
