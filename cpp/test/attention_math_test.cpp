// The arithmetic of attention, of every processor this one can stand in for, against float64.

#include "attention/attention_math.h"
#include "check.h"
#include "testbed.h"

#include <cmath>
#include <cstring>
#include <vector>

using namespace llama_steer;

namespace {

std::vector<float> random_numbers(int64_t count, uint64_t seed) {
    testbed::generator random(seed);
    std::vector<float> numbers(static_cast<size_t>(count));
    for (float & each : numbers) {
        each = random();
    }
    return numbers;
}

constexpr int64_t widths[] = {16, 32, 48, 64, 80, 128, 192, 576};
constexpr int cell_counts[] = {1, 3, 4, 7, 63, 64};
constexpr float guard = 12345.0F;

}  // namespace

TEST(attention_scores_equal_float64) {
    for (const attention_math & math : supported_attention_math()) {
        for (const int64_t width : widths) {
            const int64_t stride = width + 16;
            const std::vector<float> queries = random_numbers(9 * stride, 1);
            const std::vector<float> keys = random_numbers(tile_cells * stride, 2);
            for (const int cells : cell_counts) {
                for (int count = 1; count <= 9; ++count) {
                    std::vector<float> scores(static_cast<size_t>(9 * tile_cells), guard);
                    math.score(queries.data(), stride, count, keys.data(), stride, cells, width, scores.data());
                    for (int q = 0; q < 9; ++q) {
                        for (int c = 0; c < tile_cells; ++c) {
                            const float found = scores[static_cast<size_t>(q * tile_cells + c)];
                            if (q >= count || c >= (cells + 3) / 4 * 4) {
                                CHECK_EQ(found, guard);
                                continue;
                            }
                            double expected = 0;
                            for (int64_t i = 0; i < width; ++i) {
                                expected += static_cast<double>(queries[static_cast<size_t>(q * stride + i)]) *
                                            static_cast<double>(keys[static_cast<size_t>(c * stride + i)]);
                            }
                            CHECK_NEAR(found, expected, 1e-7 * static_cast<double>(width));
                        }
                    }
                }
            }
        }
    }
}

TEST(attention_sums_of_values_equal_float64) {
    for (const attention_math & math : supported_attention_math()) {
        for (const int64_t width : widths) {
            const int64_t stride = width + 16;
            const std::vector<float> weights = random_numbers(9 * tile_cells, 3);
            const std::vector<float> values = random_numbers(tile_cells * stride, 4);
            const std::vector<float> before = random_numbers(9 * stride, 5);
            for (const int cells : cell_counts) {
                for (int count = 1; count <= 9; ++count) {
                    std::vector<float> sums = before;
                    math.mix(weights.data(), count, values.data(), stride, cells, width, sums.data(), stride);
                    for (int q = 0; q < 9; ++q) {
                        for (int64_t i = 0; i < stride; ++i) {
                            const auto at = static_cast<size_t>(q * stride + i);
                            if (q >= count || i >= width) {
                                CHECK_EQ(sums[at], before[at]);
                                continue;
                            }
                            auto expected = static_cast<double>(before[at]);
                            for (int c = 0; c < cells; ++c) {
                                expected += static_cast<double>(weights[static_cast<size_t>(q * tile_cells + c)]) *
                                            static_cast<double>(values[static_cast<size_t>(c * stride + i)]);
                            }
                            CHECK_NEAR(sums[at], expected, 1e-5);
                        }
                    }
                }
            }
        }
    }
}

// A query's numbers must not depend on its neighbours: a sequence's answer would depend on what else is in the batch.
TEST(attention_of_a_query_has_the_same_bits_whatever_comes_with_it) {
    for (const attention_math & math : supported_attention_math()) {
        const int64_t width = 80;
        const std::vector<float> queries = random_numbers(9 * width, 1);
        const std::vector<float> rows = random_numbers(tile_cells * width, 2);
        std::vector<float> together(9 * tile_cells);
        math.score(queries.data(), width, 9, rows.data(), width, tile_cells, width, together.data());
        std::vector<float> mixed(static_cast<size_t>(9 * width));
        math.mix(together.data(), 9, rows.data(), width, tile_cells, width, mixed.data(), width);
        for (int q = 0; q < 9; ++q) {
            std::vector<float> alone(tile_cells);
            math.score(queries.data() + q * width, width, 1, rows.data(), width, tile_cells, width, alone.data());
            CHECK(std::memcmp(alone.data(), together.data() + q * tile_cells, sizeof(float) * tile_cells) == 0);
            std::vector<float> sum(static_cast<size_t>(width));
            math.mix(alone.data(), 1, rows.data(), width, tile_cells, width, sum.data(), width);
            CHECK(std::memcmp(sum.data(), mixed.data() + q * width, sizeof(float) * static_cast<size_t>(width)) == 0);
        }
    }
}

TEST(attention_exponentiates_as_float64_does) {
    const float infinity = std::numeric_limits<float>::infinity();
    for (const attention_math & math : supported_attention_math()) {
        for (int part = 0; part < 400; ++part) {
            std::vector<float> powers(tile_cells);
            for (int c = 0; c < tile_cells; ++c) {
                powers[static_cast<size_t>(c)] = -static_cast<float>(part * tile_cells + c) / 256;
            }
            powers[5] = -infinity;
            const float largest = 0.5F;
            std::vector<float> found = powers;
            CHECK_EQ(math.largest(found.data()), powers[0]);
            const float sum = math.exponentiate(found.data(), largest);
            double expected_sum = 0;
            for (int c = 0; c < tile_cells; ++c) {
                const float power = powers[static_cast<size_t>(c)] - largest;
                const double expected = power > -87.0F ? std::exp(static_cast<double>(power)) : 0;
                CHECK_NEAR(found[static_cast<size_t>(c)], expected, 3e-7 * expected);
                expected_sum += expected;
            }
            CHECK_NEAR(sum, expected_sum, 1e-6 * expected_sum);
        }
    }
}

TEST(attention_finds_the_largest_wherever_it_lies) {
    for (const attention_math & math : supported_attention_math()) {
        for (int at = 0; at < tile_cells; ++at) {
            std::vector<float> scores(tile_cells, -std::numeric_limits<float>::infinity());
            CHECK_EQ(math.largest(scores.data()), -std::numeric_limits<float>::infinity());
            scores[static_cast<size_t>(at)] = -3;
            CHECK_EQ(math.largest(scores.data()), -3.0F);
        }
        std::vector<float> row = random_numbers(48, 6);
        const std::vector<float> before = row;
        math.scale(row.data(), 0.25F, 32);
        for (size_t i = 0; i < row.size(); ++i) {
            CHECK_EQ(row[i], i < 32 ? before[i] * 0.25F : before[i]);
        }
    }
}
