#include "capture_file_writer.h"

#include "base/error.h"
#include "shard_directory.h"
#include "shard_reader.h"
#include "system_error.h"

#include <algorithm>

namespace llama_steer::storage {

/// Rows of a block that go to one shard.
struct capture_file_writer::part {
    std::unique_ptr<shard_writer> made;  ///< null: the current shard
    size_t begin = 0;
    size_t count = 0;
};

capture_file_writer::capture_file_writer(const std::filesystem::path & directory,
                                         const capture_description & description,
                                         const capture_writer_options & options)
    : directory_(directory), description_(description), options_(options) {
    check_description(description_);
    make_directory(directory_);
    lock_ = std::make_unique<writer_lock>(directory_);
    remove_unpublished(directory_);
    const uint32_t shards = count_shards(directory_);
    if (shards == 0) {
        current_ = next_shard(0, 0);
        current_->publish();
    } else if (options_.append) {
        go_on_with(description, shards);
    } else {
        throw error(error_code::INVALID_ARGUMENT, displayed(directory_) +
                                                      " holds a capture already: give another directory, or append: "
                                                      "true to go on with it");
    }
}

capture_file_writer::~capture_file_writer() = default;

void capture_file_writer::go_on_with(const capture_description & given, uint32_t shards) {
    const shard_reader last(shard_path(directory_, shards - 1), shards - 1, options_.recover);
    check_same_capture(last.header().description, given);
    description_ = last.header().description;
    current_ = std::make_unique<shard_writer>(directory_, last.header(), last.rows(), options_.durable);
    rows_ = last.header().first_row + last.rows();
}

std::unique_ptr<shard_writer> capture_file_writer::next_shard(uint32_t number, uint64_t first_row) {
    if (number >= max_shards) {
        throw error(error_code::FILE_WRITE_FAILED, displayed(directory_) +
                                                       " has as many shards as a capture can have (" +
                                                       std::to_string(max_shards) + "): use larger ones");
    }
    shard_header header;
    header.description = description_;
    header.shard = number;
    header.first_row = first_row;
    header.capacity = capacity_for(description_, options_.shard_bytes);
    return std::make_unique<shard_writer>(directory_, std::move(header), options_.durable);
}

void capture_file_writer::check(const row_block & block) const {
    if (!lock_) {
        throw error(error_code::DISPOSED, "the capture file was closed");
    }
    if (broken_) {
        throw error(error_code::FILE_WRITE_FAILED,
                    "an earlier append could not be finished: close this writer, make room on the disk, and go on with "
                    "a new one that has append: true");
    }
    if (block.layers.size() != description_.layers.size()) {
        throw error(error_code::INVALID_ARGUMENT, "rows of " + std::to_string(block.layers.size()) +
                                                      " layers were given; the file takes " +
                                                      std::to_string(description_.layers.size()));
    }
}

void capture_file_writer::append(const row_block & block, const cancellation & cancelled) {
    const std::lock_guard<std::mutex> lock(mutex_);
    check(block);
    std::vector<part> parts;
    uint32_t number = current_->header().shard;
    for (size_t begin = 0; begin < block.rows; begin += parts.back().count) {
        part next;
        next.begin = begin;
        if (begin > 0 || current_->room() == 0) {
            next.made = next_shard(++number, rows_ + begin);
        }
        shard_writer & shard = next.made ? *next.made : *current_;
        next.count = static_cast<size_t>(std::min<uint64_t>(shard.room(), block.rows - begin));
        shard.write_rows(block, begin, next.count, cancelled);
        parts.push_back(std::move(next));
    }
    commit(parts);
}

void capture_file_writer::commit(std::vector<part> & parts) {
    broken_ = true;
    for (part & each : parts) {
        if (each.made) {
            each.made->commit();
            current_->finish(shard_state::finished);
            each.made->publish();
            current_ = std::move(each.made);
        } else {
            current_->commit();
        }
        rows_ += each.count;
    }
    broken_ = false;
}

void capture_file_writer::close() {
    const std::lock_guard<std::mutex> lock(mutex_);
    if (!lock_) {
        return;
    }
    const std::unique_ptr<writer_lock> held = std::move(lock_);
    const std::unique_ptr<shard_writer> last = std::move(current_);
    if (broken_) {
        throw error(error_code::FILE_WRITE_FAILED,
                    "the capture stays unfinished, since an append failed: its rows can be read, and a new writer with "
                    "append: true goes on with it");
    }
    if (last->room() > 0) {
        last->compact();
    } else {
        last->finish(shard_state::complete);
    }
}

}  // namespace llama_steer::storage
