// Rows of capture files where they lie mapped: which they are, and that their checksums are asked.

#include "test/storage_fixture.h"

using namespace llama_steer;
using namespace llama_steer::storage;
using namespace llama_steer::storage_test;

TEST(mapped_rows_are_the_rows_of_each_layer) {
    const temporary_folder folder;
    write_rows(folder / "c", 10, shards_of(4));
    const capture_file_reader reader(folder / "c");
    CHECK_EQ(reader.shards(), 3U);
    for (size_t slot = 0; slot < 3; ++slot) {
        size_t number = 0;
        for (size_t shard = 0; shard < reader.shards(); ++shard) {
            const mapped_rows rows = reader.layer_rows(shard, slot);
            const auto * values = static_cast<const float *>(rows.data);
            for (size_t row = 0; row < rows.rows; ++row, ++number) {
                CHECK_EQ(values[row * 8 + 3], numbered_rows::value(slot, number, 3));
            }
        }
        CHECK_EQ(number, 10U);
    }
    fs::resize_file(shard_path(folder / "c", 1), fs::file_size(shard_path(folder / "c", 1)) - 1);
    CHECK_THROWS_CODE(reader.layer_rows(1, 0), error_code::DATA_DAMAGED);
    CHECK_EQ(reader.layer_rows(0, 0).rows, 4U);
}

TEST(mapped_rows_are_checked_where_they_lie) {
    for (const element_type type : {element_type::f32, element_type::f16}) {
        const temporary_folder folder;
        write_rows(folder / "c", 30, shards_of(40), true, type);
        const fs::path path = shard_path(folder / "c", 0);
        const capture_file_reader reader(folder / "c");
        const std::vector<size_t> slots = {2, 0};
        reader.shard(0).check_mapped(slots, 0, 30, {});
        reader.shard(0).check_mapped(slots, 30, 0, {});
        const std::string bytes = bytes_of(path);
        const auto * begin = static_cast<const std::byte *>(reader.layer_rows(0, 0).data);
        const auto * fifth = static_cast<const std::byte *>(reader.layer_rows(0, 2).data) + 5 * 8 * element_bytes(type);
        const size_t first_row = bytes.size() - 3 * 30 * 8 * element_bytes(type);
        const size_t at = first_row + static_cast<size_t>(fifth - begin) + 3;
        std::fstream file(path, std::ios::binary | std::ios::in | std::ios::out);
        file.seekp(static_cast<std::streamoff>(at)).put(static_cast<char>(bytes[at] ^ 4)).flush();
        const std::string message =
            CHECK_THROWS_CODE(reader.shard(0).check_mapped(slots, 2, 10, {}), error_code::DATA_DAMAGED);
        CHECK(message.find("row 5 of layer 5") != std::string::npos);
        reader.shard(0).check_mapped({0, 1}, 0, 30, {});
        reader.shard(0).check_mapped(slots, 0, 5, {});
        reader.shard(0).check_mapped(slots, 6, 24, {});
        CHECK_THROWS_CODE(reader.shard(0).check_mapped({0}, 0, 30, [] { return true; }), error_code::ABORTED);
        fs::resize_file(path, fs::file_size(path) - 1);
        CHECK_THROWS_CODE(reader.shard(0).check_mapped({0}, 0, 1, {}), error_code::DATA_DAMAGED);
    }
}

TEST(ranges_of_rows_lie_in_shards) {
    const temporary_folder folder;
    write_rows(folder / "c", 10, shards_of(4));
    const capture_file_reader reader(folder / "c");
    const std::vector<shard_range> middle = reader.ranges(3, 6);
    CHECK_EQ(middle.size(), 3U);
    const uint64_t expected[3][3] = {{0, 3, 1}, {1, 0, 4}, {2, 0, 1}};
    for (size_t i = 0; i < 3; ++i) {
        CHECK_EQ(middle[i].shard, expected[i][0]);
        CHECK_EQ(middle[i].first, expected[i][1]);
        CHECK_EQ(middle[i].rows, expected[i][2]);
    }
    CHECK(reader.ranges(10, 0).empty());
    CHECK(reader.ranges(4, 0).empty());
    CHECK_THROWS_CODE(reader.ranges(4, 7), error_code::INVALID_ARGUMENT);
    CHECK_THROWS_CODE(reader.ranges(11, 0), error_code::INVALID_ARGUMENT);
}
