// What running moments refuse, that nothing is half done then, and their bytes.

#include "check.h"
#include "ridge_moments_reference.h"

#include "ridge/checksum.h"
#include "ridge/moments_bytes.h"

#include <atomic>
#include <limits>
#include <random>

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

moments_accumulator folded(const block & rows, std::size_t groups, second_moment second) {
    moments_accumulator made(shape_of(rows, groups, second));
    made.fold(rows.all());
    return made;
}

bool contains(const std::string & text, const char * part) { return text.find(part) != std::string::npos; }

}  // namespace

TEST(ridge_running_moments_refuse_bad_rows_and_stay_as_they_were) {
    const block rows = random_block(3, 40, 5, 2, 20);
    moments_accumulator got = folded(rows, 2, second_moment::full);
    const auto before = bytes_of(got);
    const auto refuses = [&](error_code code, const char * words, const fold_rows & input) {
        const std::string message = CHECK_THROWS_CODE(got.fold(input), code);
        if (!contains(message, words)) check::fail(__FILE__, __LINE__, message + " lacks " + words);
        CHECK(bytes_of(got) == before);
    };
    const auto with = [&](auto change) {
        block changed = rows;
        change(changed);
        return changed;
    };
    const float nan = std::numeric_limits<float>::quiet_NaN();
    const auto bad_value = with([&](block & b) {
        b.groups[39] = 0;
        b.weights[39] = 1;
        b.x[(2 * 40 + 39) * 5 + 4] = nan;
    });
    refuses(error_code::NOT_FINITE, "layer 5: rows[row 39, column 4] is NaN", bad_value.all());
    const auto high = with([](block & b) { b.groups[7] = 2; });
    refuses(error_code::INVALID_ARGUMENT, "groups[7] is 2: there are groups 0 to 1", high.all());
    const auto low = with([](block & b) { b.groups[7] = -2; });
    refuses(error_code::INVALID_ARGUMENT, "groups[7] is -2", low.all());
    const auto negative = with([](block & b) { b.weights[9] = -0.5; });
    refuses(error_code::INVALID_ARGUMENT, "weights[9] is -0.5", negative.all());
    const auto tiny = with([](block & b) { b.weights[9] = 1e-300; });
    refuses(error_code::INVALID_ARGUMENT, "from 1e-100 to 1e+100", tiny.all());
    const auto no_number = with([&](block & b) { b.weights[9] = double(nan); });
    refuses(error_code::NOT_FINITE, "weights[9] is NaN", no_number.all());

    fold_rows input = rows.all();
    input.layers[1].cols = 4;
    refuses(error_code::WIDTH_MISMATCH, "layer 3 has rows of 4", input);
    input = rows.all();
    input.layers[1].row_stride = 4;
    refuses(error_code::INVALID_ARGUMENT, "stride", input);
    input = rows.all();
    input.layers[2].rows = 39;
    refuses(error_code::INVALID_ARGUMENT, "layer 5 has 39 rows", input);
    input = rows.all();
    input.layers[2].data = nullptr;
    refuses(error_code::INVALID_ARGUMENT, "no data", input);
    input = rows.all();
    input.layers.pop_back();
    refuses(error_code::INVALID_ARGUMENT, "2 layers", input);
    input = rows.all();
    input.groups = nullptr;
    input.group = 2;
    refuses(error_code::INVALID_ARGUMENT, "the group is 2", input);
}

TEST(ridge_running_moments_refuse_shapes) {
    const auto make = [](std::vector<std::int32_t> layers, std::size_t groups, std::size_t width) {
        return moments_accumulator({std::move(layers), groups, width, second_moment::full}).shape().width;
    };
    CHECK_THROWS_CODE(make({}, 1, 1), error_code::INVALID_ARGUMENT);
    CHECK_THROWS_CODE(make({-1}, 1, 1), error_code::INVALID_ARGUMENT);
    CHECK_THROWS_CODE(make({2, 2}, 1, 1), error_code::INVALID_ARGUMENT);
    CHECK_THROWS_CODE(make({0}, 0, 1), error_code::INVALID_ARGUMENT);
    CHECK_THROWS_CODE(make({0}, 1, 0), error_code::INVALID_ARGUMENT);
    CHECK_THROWS_CODE(make({0}, 1, largest_width + 1), error_code::INVALID_ARGUMENT);
    const std::string message = CHECK_THROWS_CODE(make({0, 1, 2}, 2000000, largest_width), error_code::OUT_OF_MEMORY);
    CHECK(contains(message, "moments of 3 layers x 2000000 groups of width 1073741824 need"));
    CHECK(contains(message, "GB"));
    CHECK_EQ((moments_shape{{0, 1}, 3, 4, second_moment::diagonal}.bytes()), std::size_t(6 * (8 * 8 + 24)));
}

TEST(ridge_running_moments_refuse_to_merge_what_does_not_fit) {
    const block rows = random_block(2, 20, 4, 2, 21), narrow = random_block(2, 20, 3, 2, 21);
    moments_accumulator got = folded(rows, 2, second_moment::full);
    const auto before = bytes_of(got);
    CHECK_THROWS_CODE(got.merge(folded(narrow, 2, second_moment::full)), error_code::WIDTH_MISMATCH);
    CHECK_THROWS_CODE(got.merge(folded(rows, 3, second_moment::full)), error_code::INVALID_ARGUMENT);
    CHECK_THROWS_CODE(got.merge(folded(rows, 2, second_moment::diagonal)), error_code::INVALID_ARGUMENT);
    CHECK_THROWS_CODE(got.merge(got), error_code::INVALID_ARGUMENT);
    CHECK_THROWS_CODE(got.merge(moments_accumulator({{0, 1}, 2, 4, second_moment::full})),
                      error_code::INVALID_ARGUMENT);
    CHECK(bytes_of(got) == before);
    CHECK_THROWS_CODE(got.mean(2, 0), error_code::INVALID_ARGUMENT);
    CHECK_THROWS_CODE(got.mean(0, 2), error_code::INVALID_ARGUMENT);
    std::vector<double> out(9);
    CHECK_THROWS_CODE(got.covariance(0, 0, normalization::weight, {out.data(), 3, 3}), error_code::WIDTH_MISMATCH);
}

TEST(ridge_running_moments_abort_without_a_trace) {
    // 600 rows of narrow layers are summed up beside the accumulator; 3 rows in 70 groups of width 400 in place.
    const block many = random_block(2, 600, 20, 2, 22);
    block wide = random_block(2, 140, 400, 70, 23);
    for (std::size_t i = 0; i < wide.rows; i++) wide.groups[i] = std::int32_t(i / 2), wide.weights[i] = 1;
    const auto try_all = [](const block & rows, std::size_t groups, second_moment second, int step) {
        moments_accumulator got = folded(rows, groups, second);
        const auto before = bytes_of(got);
        int allowed = 0;
        for (bool stopped = true; stopped; allowed += step) {
            std::atomic<int> asked{0};
            try {
                got.fold(rows.all(), [&] { return asked++ >= allowed; });
                stopped = false;
                CHECK(asked <= allowed);
            } catch (const error & e) {
                CHECK_EQ(e.code(), error_code::ABORTED);
                CHECK(bytes_of(got) == before);
            }
        }
        moments_accumulator twice = folded(rows, groups, second);
        twice.fold(rows.all());
        CHECK(bytes_of(got) == bytes_of(twice));
        return allowed;
    };
    CHECK(try_all(many, 2, second_moment::full, 1) > 5);
    CHECK(try_all(many, 2, second_moment::diagonal, 1) > 5);
    CHECK(try_all(many, 2, second_moment::none, 1) > 3);
    CHECK(try_all(wide, 70, second_moment::full, 60) >= 120);
}

TEST(ridge_running_moments_in_place_and_beside_agree) {
    // Two rows a group, whose M2 together pass 64 MB and the rows: in place. One group at a time: beside.
    block wide = random_block(1, 60, 600, 30, 24);
    for (std::size_t i = 0; i < wide.rows; i++) wide.groups[i] = std::int32_t(i % 30), wide.weights[i] = 1 + double(i);
    moments_accumulator in_place(shape_of(wide, 30)), beside(shape_of(wide, 30));
    for (int round = 0; round < 2; round++) {
        in_place.fold(wide.all());
        for (std::size_t i = 0; i < wide.rows; i++) beside.fold(wide.part(i, 1));
    }
    std::vector<double> a(600 * 600), b(600 * 600);
    for (const std::size_t g : {0, 13, 29}) {
        in_place.covariance(0, g, normalization::weight, {a.data(), 600, 600});
        beside.covariance(0, g, normalization::weight, {b.data(), 600, 600});
        CHECK_NEAR(reference::max_difference(a, b), 0, 1e-12);
    }
}

TEST(ridge_running_moments_come_back_from_bytes) {
    const std::string digits = "123456789";
    CHECK_EQ(checksum64(reinterpret_cast<const std::uint8_t *>(digits.data()), 9), std::uint64_t(0x995dc9bbdf1939fa));
    for (const auto second : {second_moment::none, second_moment::diagonal, second_moment::full}) {
        const block rows = random_block(2, 30, 5, 2, 25);
        moments_accumulator got = folded(rows, 3, second);
        const auto bytes = bytes_of(got);
        moments_accumulator back = read_moments(bytes.data(), bytes.size());
        CHECK(back.shape().layers == got.shape().layers);
        CHECK(bytes_of(back) == bytes);
        got.fold(rows.all());
        back.fold(rows.all());
        CHECK(bytes_of(back) == bytes_of(got));
    }
}

TEST(ridge_running_moments_refuse_damaged_bytes) {
    const block rows = random_block(2, 30, 5, 2, 26);
    const auto bytes = bytes_of(folded(rows, 2, second_moment::full));
    std::mt19937 random(1);
    for (std::size_t i = 0; i < bytes.size(); i++) {
        auto damaged = bytes;
        damaged[i] = std::uint8_t(damaged[i] ^ (1 + random() % 255));
        CHECK_THROWS_CODE(read_moments(damaged.data(), damaged.size()), error_code::DATA_DAMAGED);
        CHECK_THROWS_CODE(read_moments(bytes.data(), i), error_code::DATA_DAMAGED);
    }
    auto longer = bytes;
    longer.push_back(0);
    CHECK_THROWS_CODE(read_moments(longer.data(), longer.size()), error_code::DATA_DAMAGED);
}

TEST(ridge_running_moments_refuse_lies_with_a_fitting_checksum) {
    const block rows = random_block(2, 30, 5, 2, 27);
    const auto bytes = bytes_of(folded(rows, 2, second_moment::full));
    std::mt19937 random(2);
    for (std::size_t at = 0; at < 48 + 24; at++) {
        for (const unsigned value : {0u, 1u, 0x7fu, 0x80u, 0xffu, unsigned(random() % 256)}) {
            auto changed = bytes;
            changed[at] = std::uint8_t(value);
            const std::uint64_t sum = checksum64(changed.data(), changed.size() - 8);
            for (int i = 0; i < 8; i++) changed[changed.size() - 8 + i] = std::uint8_t(sum >> (8 * i));
            try {
                const auto read = read_moments(changed.data(), changed.size());
                CHECK(bytes_of(read) == changed);
            } catch (const error & e) {
                CHECK_EQ(e.code(), error_code::DATA_DAMAGED);
            }
        }
    }
}
