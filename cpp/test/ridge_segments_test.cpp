// Rows of several places folded as one: the sums, what is checked before it counts, and that nothing is half done.

#include "check.h"
#include "ridge_moments_reference.h"

#include "ridge/moments_bytes.h"

#include <atomic>
#include <limits>

using namespace llama_steer;
using namespace llama_steer::ridge;
using reference::block;
using reference::random_block;
using reference::shape_of;

namespace {

std::vector<std::uint8_t> bytes_of(const moments_accumulator & from) {
    std::vector<std::uint8_t> out(moments_byte_count(from.shape()));
    write_moments(from, out.data());
    return out;
}

/// The block's rows, as if they lay in pieces of these lengths.
segmented_rows segments_of(const block & rows, const std::vector<std::size_t> & lengths) {
    segmented_rows input;
    std::size_t first = 0;
    for (const std::size_t length : lengths) {
        std::vector<row_block> & layers = input.segments.emplace_back(rows.part(first, length).layers);
        for (row_block & each : layers) each.number = 100 + first;
        first += length;
    }
    CHECK_EQ(first, rows.rows);
    input.groups = rows.groups.data();
    input.weights = rows.weights.data();
    return input;
}

void nothing(std::size_t, std::size_t, std::size_t) {}

bool contains(const std::string & text, const char * part) { return text.find(part) != std::string::npos; }

}  // namespace

TEST(ridge_segments_are_summed_up_as_one_block) {
    const block rows = random_block(3, 90, 6, 2, 31);
    for (const second_moment second : {second_moment::none, second_moment::diagonal, second_moment::full}) {
        moments_accumulator got(shape_of(rows, 2, second)), expected(shape_of(rows, 2, second));
        for (int round = 0; round < 2; round++) {
            got.fold(segments_of(rows, {1, 40, 0, 30, 19}), nothing);
            expected.fold(rows.all());
        }
        for (std::size_t l = 0; l < 3; l++) {
            for (std::size_t g = 0; g < 2; g++) {
                CHECK_EQ(got.sums(l, g).count, expected.sums(l, g).count);
                CHECK_NEAR(got.sums(l, g).weight, expected.sums(l, g).weight, 1e-12);
                const std::size_t numbers = 6 + got.shape().second_size();
                for (std::size_t j = 0; j < numbers; j++) {
                    CHECK_NEAR(got.mean(l, g)[j], expected.mean(l, g)[j], 1e-10);
                }
            }
        }
    }
}

TEST(ridge_one_segment_is_folded_as_a_block_is_bit_for_bit) {
    const block rows = random_block(2, 50, 6, 2, 32);
    moments_accumulator got(shape_of(rows, 2)), expected(shape_of(rows, 2));
    for (int round = 0; round < 2; round++) {
        got.fold(segments_of(rows, {0, 50}), nothing);
        expected.fold(rows.all());
        CHECK(bytes_of(got) == bytes_of(expected));
    }
    segmented_rows none;
    none.segments.resize(1);
    got.fold(none, nothing);
    got.fold(segmented_rows(), nothing);
    CHECK(bytes_of(got) == bytes_of(expected));
}

TEST(ridge_segments_are_checked_just_before_they_count_and_left_out_rows_never) {
    block rows = random_block(2, 900, 9000, 1, 33);
    for (std::size_t i = 0; i < rows.rows; i++) rows.groups[i] = i % 10 == 7 ? -1 : 0;
    for (std::size_t i = 0; i < rows.rows; i++) rows.weights[i] = i % 10 == 3 ? 0 : 1;
    rows.x[7 * 9000] = std::numeric_limits<float>::quiet_NaN();
    moments_accumulator got(shape_of(rows, 1, second_moment::none));
    std::vector<int> seen(rows.rows);
    std::size_t calls = 0;
    got.fold(segments_of(rows, {850, 50}), [&](std::size_t segment, std::size_t row, std::size_t count) {
        calls++;
        for (std::size_t i = 0; i < count; i++) seen[segment * 850 + row + i]++;
    });
    for (std::size_t i = 0; i < rows.rows; i++) CHECK_EQ(seen[i], i % 10 == 3 || i % 10 == 7 ? 0 : 1);
    CHECK_EQ(got.sums(1, 0).count, std::uint64_t(720));
    CHECK(calls > 180);
}

TEST(ridge_segments_leave_no_trace_of_what_fails) {
    const block rows = random_block(3, 90, 6, 2, 34);
    moments_accumulator got(shape_of(rows, 2));
    got.fold(rows.all());
    const auto before = bytes_of(got);
    const std::vector<std::size_t> lengths{30, 40, 20};
    const auto refuses = [&](error_code code, const char * words, const segmented_rows & input,
                             const row_check & check) {
        const std::string message = CHECK_THROWS_CODE(got.fold(input, check), code);
        if (!contains(message, words)) check::fail(__FILE__, __LINE__, message + " lacks " + words);
        CHECK(bytes_of(got) == before);
    };
    const auto damaged = [](std::size_t segment, std::size_t row, std::size_t count) {
        if (segment == 2 && row + count > 15) throw error(error_code::DATA_DAMAGED, "row 85");
    };
    refuses(error_code::DATA_DAMAGED, "row 85", segments_of(rows, lengths), damaged);
    block changed = rows;
    changed.x[(90 + 75) * 6 + 2] = std::numeric_limits<float>::infinity();
    changed.groups[75] = 1;
    changed.weights[75] = 1;
    refuses(error_code::NOT_FINITE, "layer 3: rows[row 175, column 2] is infinity", segments_of(changed, lengths),
            nothing);
    changed = rows;
    changed.groups[80] = 2;
    const auto none_is_read = [](std::size_t, std::size_t, std::size_t) { check::fail(__FILE__, __LINE__, "read"); };
    refuses(error_code::INVALID_ARGUMENT, "groups[80] is 2", segments_of(changed, lengths), none_is_read);
    changed = rows;
    changed.weights[70] = -3;
    refuses(error_code::INVALID_ARGUMENT, "weights[70] is -3", segments_of(changed, lengths), none_is_read);
}

TEST(ridge_segments_abort_without_a_trace_whenever_it_comes) {
    const block narrow = random_block(3, 60, 6, 2, 35), wide = random_block(2, 40, 2300, 2, 36);
    for (const block * rows : {&narrow, &wide}) {
        moments_accumulator got(shape_of(*rows, 2));
        got.fold(rows->part(0, 10));
        const auto before = bytes_of(got);
        const segmented_rows input = segments_of(*rows, {rows->rows / 2, rows->rows / 2});
        int aborted = 0;
        for (bool done = false; !done; aborted += done ? 0 : 1) {
            std::atomic<int> left{aborted};
            try {
                got.fold(input, nothing, [&] { return left-- <= 0; });
                done = true;
            } catch (const error & e) {
                CHECK(e.code() == error_code::ABORTED);
                CHECK(bytes_of(got) == before);
            }
        }
        CHECK(aborted > 10);
        CHECK(bytes_of(got) != before);
    }
}
