// The kernels' arithmetic against float64, at every width up to 100 and at one of real models, so that every remainder
// of vector instructions occurs.

#include "steering/vector_math.h"
#include "check.h"
#include "testbed.h"

#include <cmath>
#include <cstring>
#include <numeric>
#include <vector>

using namespace llama_steer;

namespace {

std::vector<int64_t> widths() {
    std::vector<int64_t> all(100);
    std::iota(all.begin(), all.end(), 1);
    all.push_back(4096);
    return all;
}

constexpr float guard = 12345.0F;

/// Random numbers, and one behind them that nobody may touch; they begin where no vector instruction is aligned.
class guarded {
public:
    guarded(int64_t width, uint64_t seed) : memory_(static_cast<size_t>(width) + 2, guard) {
        testbed::generator random(seed);
        for (size_t i = 1; i + 1 < memory_.size(); ++i) {
            memory_[i] = random();
        }
    }
    float * data() { return memory_.data() + 1; }
    const float * data() const { return memory_.data() + 1; }
    float operator[](int64_t i) const { return data()[i]; }
    bool intact() const { return memory_.front() == guard && memory_.back() == guard; }
    bool same_bits(const guarded & other) const {
        return std::memcmp(memory_.data(), other.memory_.data(), memory_.size() * sizeof(float)) == 0;
    }

private:
    std::vector<float> memory_;
};

}  // namespace

TEST(vector_math_dot_products_equal_float64) {
    for (const int64_t width : widths()) {
        const guarded a(width, 1);
        const guarded b(width, 2);
        double expected = 0;
        double absolute = 0;
        for (int64_t i = 0; i < width; ++i) {
            const double term = static_cast<double>(a[i]) * static_cast<double>(b[i]);
            expected += term;
            absolute += std::fabs(term);
        }
        // Each of 32 sums has width / 32 terms in float32.
        CHECK_NEAR(dot(a.data(), b.data(), width), expected, 1e-6 * absolute);
        CHECK_EQ(dot(a.data(), b.data(), 0), 0.0);
    }
}

/// Short ones have no float32 sums at all.
TEST(vector_math_dot_products_of_remainders_are_exact_to_float64) {
    for (int64_t width = 1; width < 32; ++width) {
        const guarded a(width, 3);
        double expected = 0;
        for (int64_t i = 0; i < width; ++i) {
            expected += static_cast<double>(a[i]) * static_cast<double>(a[i]);
        }
        CHECK_NEAR(dot(a.data(), a.data(), width), expected, 1e-14 * expected);
    }
}

TEST(vector_math_sums_and_multiples_equal_float64) {
    for (const int64_t width : widths()) {
        const guarded from(width, 4);
        const guarded before(width, 5);
        guarded to = before;
        add_scaled(to.data(), from.data(), -0.7F, width);
        guarded scaled = before;
        scale(scaled.data(), 1.3F, width);
        double worst_sum = 0;
        double worst_multiple = 0;
        for (int64_t i = 0; i < width; ++i) {
            const double h = static_cast<double>(before[i]);
            const double sum = h + static_cast<double>(-0.7F) * static_cast<double>(from[i]);
            worst_sum = std::max(worst_sum, std::fabs(static_cast<double>(to[i]) - sum));
            const double multiple = static_cast<double>(1.3F) * h;
            worst_multiple = std::max(worst_multiple, std::fabs(static_cast<double>(scaled[i]) - multiple));
        }
        CHECK_NEAR(worst_sum, 0, 2e-7);
        CHECK_NEAR(worst_multiple, 0, 1e-7);
        CHECK(to.intact() && scaled.intact());
    }
}

/// Product and sum are each rounded: what a fused multiply-add would give differs in some of so many elements.
TEST(vector_math_sums_round_the_product_first) {
    constexpr int64_t width = 4096;
    const guarded from(width, 6);
    const guarded before(width, 7);
    guarded to = before;
    add_scaled(to.data(), from.data(), 0.37F, width);
    int64_t as_promised = 0;
    int64_t as_fused = 0;
    for (int64_t i = 0; i < width; ++i) {
        volatile float product = 0.37F * from[i];
        volatile float sum = before[i] + product;
        as_promised += to[i] == sum ? 1 : 0;
        as_fused += to[i] == std::fmaf(0.37F, from[i], before[i]) ? 1 : 0;
    }
    CHECK_EQ(as_promised, width);
    CHECK(as_fused < width);
}

TEST(vector_math_sums_in_one_pass_have_the_bits_of_sums_one_after_another) {
    for (const int64_t width : widths()) {
        const guarded vectors[] = {{width, 10}, {width, 11}, {width, 12}, {width, 13}};
        const float factors[] = {0.3F, -1.7F, 2.2F, 1e-3F};
        const float * from[] = {vectors[0].data(), vectors[1].data(), vectors[2].data(), vectors[3].data()};
        for (int count = 1; count <= 4; ++count) {
            guarded at_once(width, 14);
            guarded in_turn = at_once;
            add_scaled(at_once.data(), from, factors, count, width);
            for (int i = 0; i < count; ++i) {
                add_scaled(in_turn.data(), from[i], factors[i], width);
            }
            CHECK(at_once.same_bits(in_turn));
            CHECK(at_once.intact());
        }
    }
}
