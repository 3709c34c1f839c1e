// A writer that is stopped, or whose disk fails, at any of its steps.

#include "storage/file_probe.h"
#include "test/storage_fixture.h"

using namespace llama_steer;
using namespace llama_steer::storage;
using namespace llama_steer::storage_test;

namespace {

/// Lets `steps` steps pass, then breaks one or all that follow: each does half of what it should, in whole words, since
/// no system writes half of an aligned one.
class breaker {
public:
    explicit breaker(size_t steps, bool once = false) {
        left = steps;
        only_once = once;
        broke = false;
        probe_of_writes = [](size_t bytes) -> size_t {
            if (left > 0) {
                --left;
                return bytes;
            }
            if (broke && only_once) {
                return bytes;
            }
            broke = true;
            return bytes / 8 * 4;
        };
    }
    ~breaker() { probe_of_writes = nullptr; }

    static inline size_t left = 0;
    static inline bool only_once = false;
    static inline bool broke = false;
};

constexpr size_t total = 11;
const std::vector<size_t> appends = {1, 4, 3, 3};

/// Appends what is missing of `total` rows; counts what was acknowledged.
void write_on(const fs::path & directory, size_t & acknowledged, bool durable) {
    capture_writer_options options = shards_of(3, true);
    options.durable = durable;
    capture_file_writer writer(directory, description(), options);
    size_t begin = 0;
    for (const size_t count : appends) {
        if (begin >= writer.rows()) {
            writer.append(numbered_rows(begin, count).block());
            acknowledged = begin + count;
        }
        begin += count;
    }
    writer.close();
}

}  // namespace

TEST(a_writer_stopped_at_any_step_leaves_what_it_committed_and_can_be_continued) {
    for (const bool durable : {false, true}) {
        size_t steps = 0;
        for (bool finished = false; !finished; ++steps) {
            const temporary_folder folder;
            size_t acknowledged = 0;
            try {
                const breaker broken(steps);
                write_on(folder / "c", acknowledged, durable);
                finished = true;
            } catch (const error & failure) {
                CHECK_EQ(failure.code(), error_code::FILE_WRITE_FAILED);
            }
            size_t kept = 0;
            if (fs::exists(shard_path(folder / "c", 0))) {
                const capture_file_reader reader(folder / "c");
                kept = reader.rows();
                CHECK(kept >= acknowledged);
                CHECK(holds_numbered_rows(reader, kept));
                CHECK_EQ(reader.complete() && kept < total, false);
                reader.verify({}, {});
            }
            CHECK(kept >= acknowledged);
            capture_file_writer writer(folder / "c", description(), shards_of(3, true));
            CHECK_EQ(writer.rows(), kept);
            writer.append(numbered_rows(kept, total - kept).block());
            writer.close();
            const capture_file_reader whole(folder / "c");
            CHECK(whole.complete());
            CHECK(holds_numbered_rows(whole, total));
            whole.verify({}, {});
        }
        CHECK(steps > 100);
    }
}

TEST(an_append_that_failed_can_be_done_again_or_is_refused_and_continued) {
    size_t again = 0;
    size_t refused = 0;
    for (size_t steps = 0;; ++steps) {
        const temporary_folder folder;
        auto writer = std::make_unique<capture_file_writer>(folder / "c", description(), shards_of(3));
        writer->append(numbered_rows(0, 2).block());
        bool failed = false;
        {
            const breaker broken(steps, true);
            try {
                writer->append(numbered_rows(2, 6).block());
            } catch (const error & failure) {
                failed = true;
                CHECK_EQ(failure.code(), error_code::FILE_WRITE_FAILED);
            }
        }
        if (!failed) {
            break;
        }
        const uint64_t rows = writer->rows();
        CHECK(holds_numbered_rows(capture_file_reader(folder / "c"), capture_file_reader(folder / "c").rows()));
        try {
            writer->append(numbered_rows(rows, 8 - rows).block());
            CHECK_EQ(rows, 2U);
            ++again;
        } catch (const error & failure) {
            CHECK_EQ(failure.code(), error_code::FILE_WRITE_FAILED);
            CHECK_THROWS_CODE(writer->close(), error_code::FILE_WRITE_FAILED);
            writer = std::make_unique<capture_file_writer>(folder / "c", description(), shards_of(3, true));
            CHECK(writer->rows() >= rows);
            writer->append(numbered_rows(writer->rows(), 8 - writer->rows()).block());
            ++refused;
        }
        writer->close();
        CHECK(holds_numbered_rows(capture_file_reader(folder / "c"), 8));
    }
    CHECK(again > 20);
    CHECK(refused > 10);
}

TEST(a_damaged_row_before_a_committed_one_is_no_interrupted_write) {
    const temporary_folder folder;
    capture_file_writer(folder / "c", description(), shards_of(9)).append(numbered_rows(0, 5).block());
    const fs::path path = shard_path(folder / "c", 0);
    const std::string bytes = bytes_of(path);
    const shard_reader intact(path, 0);
    const shard_layout layout = layout_of(intact.header(), encode_shard_header(intact.header()).size());
    CHECK_EQ(intact.rows(), 5U);
    for (const uint64_t at : {layout.label_at(0, 1), layout.label_at(3, 4), layout.label_checksum_at(2),
                              layout.label_checksum_at(4), layout.checksums_at(3), layout.label_checksum_at(8)}) {
        std::string wrong = bytes;
        wrong[at] = static_cast<char>(wrong[at] ^ 4);
        write_bytes(path, wrong);
        CHECK_THROWS_CODE(capture_file_reader(folder / "c"), error_code::DATA_DAMAGED);
    }
    for (const auto & [at, rows] : {std::pair{layout.label_at(0, 1), 1},
                                    {layout.label_checksum_at(2), 2},
                                    {layout.checksums_at(3) + 4, 3},
                                    {layout.row_at(2, 4) + 9, 4}}) {
        std::string wrong = bytes;
        wrong[at] = static_cast<char>(wrong[at] ^ 4);
        write_bytes(path, wrong);
        const auto intact_rows = static_cast<size_t>(rows);
        CHECK(holds_numbered_rows(capture_file_reader(folder / "c", true), intact_rows));
        CHECK_THROWS_CODE(capture_file_reader(folder / "c").verify({}, {}), error_code::DATA_DAMAGED);
        capture_writer_options options = shards_of(9, true);
        options.recover = true;
        capture_file_writer writer(folder / "c", description(), options);
        CHECK_EQ(writer.rows(), intact_rows);
        writer.append(numbered_rows(intact_rows, 1).block());
        const capture_file_reader after(folder / "c");
        CHECK(holds_numbered_rows(after, intact_rows + 1));
        after.verify({}, {});
    }
    std::string gone = bytes;
    gone.replace(layout.label_checksum_at(1), 4, 4, '\0');
    write_bytes(path, gone);
    CHECK_THROWS_CODE(capture_file_reader(folder / "c"), error_code::DATA_DAMAGED);
    std::string tail = bytes;
    tail.replace(layout.row_at(1, 6), 8, "leftover");
    tail.replace(layout.label_at(0, 6), 4, "left");
    write_bytes(path, tail);
    CHECK(holds_numbered_rows(capture_file_reader(folder / "c"), 5));
}
