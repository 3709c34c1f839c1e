// Capture files: what is written is read, whatever is damaged is noticed.

#include "storage/crc32c.h"
#include "storage/shard_header.h"
#include "test/storage_fixture.h"

#include <cmath>
#include <functional>
#include <thread>

using namespace llama_steer;
using namespace llama_steer::storage;
using namespace llama_steer::storage_test;

namespace {

/// Opens and checks everything.
void verify(const fs::path & directory) { capture_file_reader(directory).verify({}, {}); }

/// The code of the error that `run` ends with, INTERNAL where it ends well.
error_code code_of(const std::function<void()> & run) {
    try {
        run();
    } catch (const error & failure) {
        return failure.code();
    }
    return error_code::INTERNAL;
}

}  // namespace

TEST(a_capture_file_gives_back_every_row) {
    for (const element_type type : {element_type::f32, element_type::f16}) {
        for (const size_t capacity : {1, 4, 5, 100}) {
            const temporary_folder folder;
            capture_file_writer writer(folder / "c", description(type), shards_of(capacity));
            size_t rows = 0;
            for (const size_t count : {1, 4, 0, 9, 2}) {
                writer.append(numbered_rows(rows, count).block());
                rows += count;
                CHECK_EQ(writer.rows(), rows);
                const capture_file_reader live(folder / "c");
                CHECK(!live.complete());
                CHECK(holds_numbered_rows(live, rows));
            }
            writer.close();
            writer.close();
            const capture_file_reader reader(folder / "c");
            CHECK(reader.complete());
            CHECK(holds_numbered_rows(reader, rows));
            CHECK(reader.description().metadata == description().metadata);
            reader.verify({}, {});
            CHECK(!fs::exists(folder / "c/writer.lock"));
            CHECK_THROWS_CODE(writer.append(numbered_rows(0, 1).block()), error_code::DISPOSED);
        }
    }
}

TEST(a_capture_of_no_rows_is_a_capture) {
    const temporary_folder folder;
    write_rows(folder / "c", 0, shards_of(4));
    {
        const capture_file_reader reader(folder / "c");
        CHECK(reader.complete());
        CHECK_EQ(reader.rows(), 0U);
        reader.verify({}, {});
    }
    capture_file_writer more(folder / "c", description(), shards_of(4, true));
    more.append(numbered_rows(0, 3).block());
    more.close();
    CHECK(holds_numbered_rows(capture_file_reader(folder / "c"), 3));
}

TEST(a_closed_capture_can_be_continued) {
    const temporary_folder folder;
    write_rows(folder / "c", 6, shards_of(4));
    {
        capture_file_writer writer(folder / "c", description(), shards_of(3, true));
        CHECK_EQ(writer.rows(), 6U);
        CHECK(capture_file_reader(folder / "c").complete());
        writer.append(numbered_rows(6, 5).block());
        CHECK(!capture_file_reader(folder / "c").complete());
        writer.close();
    }
    const capture_file_reader reader(folder / "c");
    CHECK(reader.complete());
    CHECK(holds_numbered_rows(reader, 11));
    reader.verify({}, {});
}

TEST(labels_that_are_not_given_are_minus_one) {
    const temporary_folder folder;
    capture_file_writer writer(folder / "c", description(), shards_of(4));
    const numbered_rows rows(0, 2);
    row_block block = rows.block();
    block.prompt = nullptr;
    block.sequence = nullptr;
    writer.append(block);
    writer.close();
    const capture_file_reader reader(folder / "c");
    const auto & labels = reader.shard(0).labels();
    CHECK_EQ(labels[0][1], -1);
    CHECK_EQ(labels[1][1], 1);
    CHECK_EQ(labels[3][0], -1);
}

TEST(every_flipped_byte_of_a_complete_capture_is_noticed) {
    for (const element_type type : {element_type::f32, element_type::f16}) {
        const temporary_folder folder;
        write_rows(folder / "c", 7, shards_of(4), true, type);
        std::mt19937 random(3);
        for (uint32_t shard = 0; shard < 2; ++shard) {
            const fs::path path = shard_path(folder / "c", shard);
            const std::string bytes = bytes_of(path);
            size_t missed = 0;
            for (size_t at = 0; at < bytes.size(); ++at) {
                std::string flipped = bytes;
                flipped[at] = static_cast<char>(flipped[at] ^ (1 << (random() % 8)));
                write_bytes(path, flipped);
                missed += code_of([&] { verify(folder / "c"); }) != error_code::DATA_DAMAGED;
            }
            CHECK_EQ(missed, 0U);
            write_bytes(path, bytes);
        }
        verify(folder / "c");
    }
}

TEST(a_capture_cut_short_or_grown_is_refused) {
    const temporary_folder folder;
    write_rows(folder / "c", 7, shards_of(4));
    const fs::path path = shard_path(folder / "c", 1);
    const std::string bytes = bytes_of(path);
    for (size_t length = 0; length < bytes.size(); length += length < 200 ? 1 : 37) {
        write_bytes(path, bytes.substr(0, length));
        CHECK_EQ(code_of([&] { verify(folder / "c"); }), error_code::DATA_DAMAGED);
    }
    write_bytes(path, bytes + '\0');
    CHECK_THROWS_CODE(verify(folder / "c"), error_code::DATA_DAMAGED);
}

TEST(random_bytes_anywhere_never_do_more_than_throw) {
    const temporary_folder folder;
    write_rows(folder / "c", 7, shards_of(4));
    const fs::path path = shard_path(folder / "c", 0);
    const std::string bytes = bytes_of(path);
    std::mt19937 random(11);
    for (int round = 0; round < 1500; ++round) {
        std::string wrong = bytes;
        for (unsigned change = 0; change <= random() % 8; ++change) {
            wrong[random() % (round % 2 == 0 ? 1500 : wrong.size())] = static_cast<char>(random());
        }
        write_bytes(path, wrong);
        const error_code code = code_of([&] { verify(folder / "c"); });
        CHECK(code == error_code::DATA_DAMAGED || wrong == bytes);
    }
}

TEST(shards_that_do_not_belong_together_are_refused) {
    const temporary_folder folder;
    write_rows(folder / "c", 10, shards_of(4));
    capture_description other = description();
    other.metadata[0].second = "another";
    capture_file_writer writer(folder / "o", other, shards_of(4));
    writer.append(numbered_rows(0, 10).block());
    writer.close();
    const auto name = [](uint32_t shard) { return shard_path("", shard); };
    const std::string first = bytes_of(folder / "c" / name(1));
    write_bytes(folder / "c" / name(1), bytes_of(folder / "o" / name(1)));
    CHECK_THROWS_CODE(verify(folder / "c"), error_code::DATA_DAMAGED);
    write_bytes(folder / "c" / name(1), bytes_of(folder / "c" / name(2)));
    CHECK_THROWS_CODE(verify(folder / "c"), error_code::DATA_DAMAGED);
    fs::remove(folder / "c" / name(1));
    CHECK_THROWS_CODE(verify(folder / "c"), error_code::DATA_DAMAGED);
    write_bytes(folder / "c" / name(1), first);
    verify(folder / "c");
    fs::remove(folder / "c" / name(2));
    const capture_file_reader reader(folder / "c");
    CHECK(!reader.complete());
    CHECK(holds_numbered_rows(reader, 8));
}

TEST(headers_with_their_checksum_right_are_still_not_trusted) {
    shard_header header;
    header.description = description();
    header.capacity = 4;
    const std::string good = encode_shard_header(header);
    const uint64_t size = layout_of(header, good.size()).file_bytes();
    CHECK_EQ(decode_shard_header(good, size, "x").capacity, 4U);
    CHECK_EQ(good.size() % header_alignment, 0U);
    const auto refused = [&](const std::function<void(shard_header &)> & change) {
        shard_header wrong = header;
        change(wrong);
        CHECK_THROWS_CODE(decode_shard_header(encode_shard_header(wrong), size, "x"), error_code::DATA_DAMAGED);
    };
    refused([](shard_header & h) { h.capacity = 5; });
    refused([](shard_header & h) { h.rows = 4; });
    refused([](shard_header & h) { h.state = shard_state::complete; });
    refused([](shard_header & h) { h.description.layers = {1, 5, 4}; });
    refused([](shard_header & h) { h.description.layers = {}; });
    refused([](shard_header & h) { h.description.width = 0; });
    refused([](shard_header & h) { h.description.width = UINT64_MAX / 2; });
    refused([](shard_header & h) { h.description.site = ""; });
    refused([](shard_header & h) { h.description.site = "\xff"; });
    refused([](shard_header & h) { h.capacity = uint64_t{1} << 60; });
}

TEST(mutated_headers_that_have_their_checksum_are_refused_or_harmless) {
    const temporary_folder folder;
    write_rows(folder / "c", 6, shards_of(4), false);
    const std::string sum_begins = "header_checksum\":\"";
    std::mt19937 random(17);
    const auto pick = [&](size_t below) { return static_cast<size_t>(random()) % below; };
    size_t accepted = 0;
    for (uint32_t shard = 0; shard < 2; ++shard) {
        const fs::path path = shard_path(folder / "c", shard);
        const std::string bytes = bytes_of(path);
        const shard_header header = shard_reader(path, shard).header();
        const size_t header_bytes = encode_shard_header(header).size();
        const size_t sum_at = bytes.find(sum_begins) + sum_begins.size();
        const size_t json_end = bytes.find_last_not_of(' ', header_bytes - 1) + 1;
        for (int round = 0; round < 2500; ++round) {
            std::string wrong = bytes;
            for (size_t change = 0; change <= pick(3); ++change) {
                const size_t at = sum_at + 9 + pick(json_end - sum_at - 9);
                const bool digit = wrong[at] >= '0' && wrong[at] <= '9';
                wrong[at] = digit ? static_cast<char>('0' + pick(10)) : "0129,:[]{}\"aF "[pick(14)];
            }
            wrong.replace(sum_at, 8, 8, '0');
            char digits[9];
            std::snprintf(digits, sizeof digits, "%08x", crc32c(wrong.data(), header_bytes));
            wrong.replace(sum_at, 8, digits);
            write_bytes(path, wrong);
            const error_code code = code_of([&] { verify(folder / "c"); });
            CHECK(code == error_code::DATA_DAMAGED || code == error_code::INTERNAL);
            accepted += code == error_code::INTERNAL;
        }
        write_bytes(path, bytes);
    }
    CHECK(accepted < 500);
    CHECK(holds_numbered_rows(capture_file_reader(folder / "c"), 6));
}

TEST(a_writer_that_goes_on_must_describe_the_same) {
    const temporary_folder folder;
    write_rows(folder / "c", 3, shards_of(4), false);
    const auto again = [&](const std::function<void(capture_description &)> & change) {
        capture_description given = description();
        change(given);
        capture_file_writer(folder / "c", given, shards_of(4, true));
    };
    CHECK_THROWS_CODE(again([](auto & d) { d.site = "ffn_out"; }), error_code::INVALID_ARGUMENT);
    CHECK_THROWS_CODE(again([](auto & d) { d.layers = {1, 4}; }), error_code::INVALID_ARGUMENT);
    CHECK_THROWS_CODE(again([](auto & d) { d.width = 9; }), error_code::WIDTH_MISMATCH);
    CHECK_THROWS_CODE(again([](auto & d) { d.type = element_type::f16; }), error_code::INVALID_ARGUMENT);
    CHECK_THROWS_CODE(again([](auto & d) { d.metadata[0].second = "x"; }), error_code::INVALID_ARGUMENT);
    again([](auto & d) { d.metadata.clear(); });
    CHECK_THROWS_CODE(capture_file_writer(folder / "c", description(), shards_of(4)), error_code::INVALID_ARGUMENT);
    CHECK(holds_numbered_rows(capture_file_reader(folder / "c"), 3));
}

TEST(one_writer_at_a_time) {
    const temporary_folder folder;
    auto first = std::make_unique<capture_file_writer>(folder / "c", description(), shards_of(4));
    CHECK_THROWS_CODE(capture_file_writer(folder / "c", description(), shards_of(4, true)), error_code::FILE_IN_USE);
    first.reset();
    capture_file_writer second(folder / "c", description(), shards_of(4, true));
    second.close();
    capture_file_writer third(folder / "c", description(), shards_of(4, true));
}

TEST(what_a_half_cannot_hold_is_refused_before_anything_is_appended) {
    const temporary_folder folder;
    capture_file_writer writer(folder / "c", description(element_type::f16), shards_of(2));
    writer.append(numbered_rows(0, 1).block());
    numbered_rows wrong(1, 5);
    wrong.values()[1][3 * 8 + 6] = 65520;
    const std::string message = CHECK_THROWS_CODE(writer.append(wrong.block()), error_code::NOT_FINITE);
    CHECK(message.find("row 3 of layer 4 holds at 6") != std::string::npos);
    CHECK_EQ(writer.rows(), 1U);
    writer.append(numbered_rows(1, 5).block());
    writer.close();
    const capture_file_reader reader(folder / "c");
    CHECK(holds_numbered_rows(reader, 6));
    std::vector<uint16_t> halves(8);
    reader.copy({2}, 4, 1, element_type::f16, halves.data());
    CHECK(std::any_of(halves.begin(), halves.end(), [](uint16_t each) { return each != 0; }));
}

TEST(halves_are_written_as_they_are_and_become_floats_in_a_file_of_floats) {
    const std::vector<uint16_t> halves = {0x3c00, 0xbc00, 0x7c00, 0x0001, 0x7bff, 0x8000, 0x3555, 0x4248};
    const temporary_folder folder;
    for (const element_type type : {element_type::f32, element_type::f16}) {
        const fs::path place = folder / element_name(type);
        capture_file_writer writer(place, description(type), shards_of(4));
        row_block block;
        block.layers = {halves.data(), halves.data(), halves.data()};
        block.type = element_type::f16;
        block.rows = 1;
        writer.append(block);
        const capture_file_reader reader(place);
        std::vector<float> values(8);
        reader.copy({1}, 0, 1, element_type::f32, values.data());
        CHECK_EQ(values[0], 1.0F);
        CHECK_EQ(values[3], std::ldexp(1.0F, -24));
        CHECK(std::isinf(values[2]));
    }
}

TEST(reading_beyond_the_rows_is_refused) {
    const temporary_folder folder;
    write_rows(folder / "c", 7, shards_of(4));
    const capture_file_reader reader(folder / "c");
    std::vector<float> values(8 * 8);
    CHECK_THROWS_CODE(reader.copy({0}, 0, 8, element_type::f32, values.data()), error_code::INVALID_ARGUMENT);
    CHECK_THROWS_CODE(reader.copy({0}, 8, 0, element_type::f32, values.data()), error_code::INVALID_ARGUMENT);
    CHECK_THROWS_CODE(reader.copy({0}, UINT64_MAX, 2, element_type::f32, values.data()), error_code::INVALID_ARGUMENT);
    CHECK_THROWS_CODE(reader.copy({3}, 0, 1, element_type::f32, values.data()), error_code::INVALID_ARGUMENT);
    CHECK_THROWS_CODE(reader.copy({0}, 0, 1, element_type::f16, values.data()), error_code::INVALID_ARGUMENT);
    reader.copy({0}, 7, 0, element_type::f32, values.data());
}

TEST(what_is_no_capture_is_refused) {
    const temporary_folder folder;
    CHECK_THROWS_CODE(capture_file_reader(folder / "missing"), error_code::FILE_NOT_FOUND);
    CHECK_THROWS_CODE(capture_file_reader(folder / ""), error_code::FILE_NOT_FOUND);
    write_bytes(folder / "file", "text");
    CHECK_THROWS_CODE(capture_file_reader(folder / "file"), error_code::FILE_UNREADABLE);
    CHECK_THROWS_CODE(capture_file_writer(folder / "file", description(), shards_of(4)), error_code::FILE_WRITE_FAILED);
    fs::create_directories(folder / "c");
    write_bytes(shard_path(folder / "c", 0), std::string(5000, ' '));
    CHECK_THROWS_CODE(capture_file_reader(folder / "c"), error_code::DATA_DAMAGED);
    CHECK_THROWS_CODE(capture_file_writer(folder / "c", description(), shards_of(4, true)), error_code::DATA_DAMAGED);
    fs::create_directories(shard_path(folder / "d", 0));
    CHECK_EQ(code_of([&] { capture_file_reader reader(folder / "d"); }), error_code::DATA_DAMAGED);
}

TEST(an_aborted_append_appends_nothing_and_an_aborted_read_stops) {
    const temporary_folder folder;
    capture_file_writer writer(folder / "c", description(), shards_of(2));
    int asked = 0;
    const cancellation at_once = [&] { return ++asked > 4; };
    CHECK_THROWS_CODE(writer.append(numbered_rows(0, 5).block(), at_once), error_code::ABORTED);
    CHECK_EQ(writer.rows(), 0U);
    writer.append(numbered_rows(0, 5).block());
    writer.close();
    const capture_file_reader reader(folder / "c");
    CHECK(holds_numbered_rows(reader, 5));
    CHECK_THROWS_CODE(reader.verify({}, [] { return true; }), error_code::ABORTED);
}

TEST(a_reader_beside_a_writer_sees_whole_rows) {
    const temporary_folder folder;
    capture_file_writer writer(folder / "c", description(), shards_of(16));
    std::thread thread([&] {
        for (size_t row = 0; row < 300; row += 3) writer.append(numbered_rows(row, 3).block());
        writer.close();
    });
    for (bool complete = false; !complete;) {
        const capture_file_reader reader(folder / "c");
        complete = reader.complete();
        CHECK(holds_numbered_rows(reader, reader.rows()));
    }
    thread.join();
    CHECK(holds_numbered_rows(capture_file_reader(folder / "c"), 300));
}
