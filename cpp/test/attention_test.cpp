// Our attention against float64, on memories of all types that hold many sequences in no order; and that a sequence's
// results have the same bits whoever else is in the batch and however many threads compute.

#include "attention_problem.h"

#include <algorithm>
#include <cmath>
#include <vector>

using namespace llama_steer;
using namespace llama_steer::attention_problem;

namespace {

const std::vector<shape> & shapes() {
    static const std::vector<shape> all = {
        {32, 32, 4, 2},
        {64, 64, 8, 8},
        {128, 128, 8, 1},
        {64, 64, 6, 2, 1, GGML_TYPE_F32},
        {64, 64, 4, 2, 1, GGML_TYPE_Q8_0},
        {32, 32, 4, 2, 1, GGML_TYPE_Q4_0},
        {24, 40, 3, 1},    // padded
        {80, 80, 5, 5},    // padded for none but the widest vectors
        {192, 128, 4, 2},  // keys and values of different sizes
        {64, 64, 24, 1},   // more heads on one key head than are taken together
        {48, 48, 26, 2},   // 13 on each, a prime
        {32, 32, 4, 2, 1, GGML_TYPE_F16, 5.0F},
        {32, 32, 4, 2, 1, GGML_TYPE_F16, 0.0F, true},
        {32, 32, 4, 2, 1, GGML_TYPE_F16, 3.0F, true},
        {32, 32, 4, 2, 1, GGML_TYPE_F16, 0.0F, false, 7},
        {32, 32, 4, 2, 1, GGML_TYPE_F16, 0.0F, true, 20},
    };
    return all;
}

}  // namespace

TEST(attention_equals_float64) {
    for (const shape & each : shapes()) {
        problem one(each, {mixed_rows()}, 1100);
        one.check(one.compute());
    }
}

TEST(attention_of_separate_memories_equals_float64) {
    for (const int64_t key_heads : {int64_t{1}, int64_t{4}}) {
        const shape what{32, 32, 4, key_heads, 3};
        problem one(what, {rows_of(7, 4, 30), rows_of(2, 4, 200), rows_of(5, 4, 3)}, 512);
        one.check(one.compute());
    }
}

TEST(attention_has_the_same_bits_with_any_number_of_threads) {
    for (const shape & each : shapes()) {
        problem one(each, {mixed_rows()}, 1100);
        const std::vector<float> expected = one.compute();
        for (const int threads : {2, 3, 8, 33}) {
            CHECK(one.compute(threads) == expected);
        }
    }
}

// The same tokens in the same cells, with others in the batch and without.
TEST(attention_of_a_sequence_has_the_same_bits_alone) {
    for (const shape & each : shapes()) {
        problem together(each, {mixed_rows()}, 1100);
        const std::vector<float> all = together.compute();
        auto at = all.begin();
        for (const std::vector<batch_row> & rows : parts_of_mixed_rows()) {
            problem alone(each, {rows}, 1100);
            const std::vector<float> mine = alone.compute();
            CHECK(std::equal(mine.begin(), mine.end(), at));
            at += static_cast<int64_t>(mine.size());
        }
        CHECK(at == all.end());
    }
}

TEST(attention_of_nothing_is_zero) {
    const shape what{32, 32, 4, 2};
    problem nobody(what, {{{0, -1}}}, 256);
    for (const float each : nobody.compute()) {
        CHECK_EQ(each, 0.0F);
    }
}

TEST(attention_of_what_is_no_number_is_none_for_who_sees_it) {
    for (const shape & each : {shape{32, 32, 4, 2}, shape{32, 32, 4, 2, 1, GGML_TYPE_F32}}) {
        problem one(each, {mixed_rows()}, 1100);
        const std::vector<float> before = one.compute();
        const std::vector<bool> touched = one.spoil_key_of(3, 2);
        const std::vector<float> after = one.compute();
        const size_t size = before.size() / touched.size();
        for (size_t row = 0; row < touched.size(); ++row) {
            for (size_t i = row * size; i < (row + 1) * size; ++i) {
                CHECK(touched[row] ? std::isnan(after[i]) : after[i] == before[i]);
            }
        }
        CHECK(std::count(touched.begin(), touched.end(), true) >= 5);
    }
    // Also where it is all that is seen.
    problem alone({32, 32, 4, 2}, {rows_of(3, 1, 0)}, 256);
    alone.spoil_key_of(3, 0);
    for (const float each : alone.compute()) {
        CHECK(std::isnan(each));
    }
}

// A prompt's later token must not reach the earlier ones, whose keys and values others may share.
TEST(attention_of_a_value_that_is_no_number_reaches_only_who_sees_it) {
    for (const int64_t key_heads : {int64_t{2}, int64_t{4}}) {
        const shape what{32, 32, 4, key_heads};
        problem one(what, {mixed_rows()}, 1100);
        const std::vector<float> before = one.compute();
        const std::vector<bool> touched = one.spoil_value_of(0, 20);
        const std::vector<float> after = one.compute();
        const size_t size = before.size() / touched.size();
        for (size_t row = 0; row < touched.size(); ++row) {
            // Of each head the first number is the spoilt one.
            CHECK_EQ(std::isnan(after[row * size]), bool(touched[row]));
            for (size_t i = row * size; !touched[row] && i < (row + 1) * size; ++i) {
                CHECK_EQ(after[i], before[i]);
            }
        }
        CHECK(!touched[19] && touched[20]);
    }
}

TEST(attention_groups_see_what_the_mask_says) {
    for (const int32_t window : {0, 3, 40}) {
        shape what{32, 32, 4, 2};
        what.window = window;
        for (const int64_t cells : {int64_t{1100}, int64_t{1152}, int64_t{515}}) {
            problem one(what, {mixed_rows()}, cells);
            std::vector<std::vector<bool>> seen(mixed_rows().size(), std::vector<bool>(static_cast<size_t>(cells)));
            int32_t rows = 0;
            for (const row_group & group : one.visible()) {
                CHECK_EQ(group.first_row, rows);
                CHECK(group.rows >= 1 && group.rows <= visible_cells::max_rows);
                rows += group.rows;
                for (size_t i = 0; i < group.cells.size(); ++i) {
                    CHECK(i == 0 || group.cells[i] > group.cells[i - 1]);
                    for (int32_t row = 0; row < group.rows; ++row) {
                        const uint64_t bits = group.seen_by(row, static_cast<int32_t>(i / 64));
                        seen[static_cast<size_t>(group.first_row + row)][static_cast<size_t>(group.cells[i])] =
                            (bits >> (i % 64) & 1) != 0;
                    }
                }
                // Nothing is read for nobody.
                for (const int32_t cell : group.cells) {
                    bool anyone = false;
                    for (int32_t row = 0; row < group.rows; ++row) {
                        anyone = anyone || one.sees(0, group.first_row + row, cell);
                    }
                    CHECK(anyone);
                }
            }
            CHECK_EQ(static_cast<size_t>(rows), seen.size());
            for (size_t row = 0; row < seen.size(); ++row) {
                for (int64_t cell = 0; cell < cells; ++cell) {
                    CHECK_EQ(seen[row][static_cast<size_t>(cell)], one.sees(0, static_cast<int64_t>(row), cell));
                }
            }
        }
    }
}

TEST(attention_groups_are_of_one_sequence_and_one_stream) {
    visible_cells visible;
    visible.divide({4, 4, 4, 9, 9, 4}, 6);
    CHECK_EQ(visible.count(), 3);
    visible.divide({4, 4, 4, 4}, 2);
    CHECK_EQ(visible.count(), 2);
    CHECK_EQ(visible.begin()[1].stream, 1);
    CHECK_EQ(visible.begin()[1].first_row, 0);
    visible.divide(std::vector<int32_t>(33, 1), 33);
    CHECK_EQ(visible.count(), 3);
    CHECK_EQ(visible.begin()[2].first_row, 32);
    CHECK_EQ(visible.begin()[2].rows, 1);
}
