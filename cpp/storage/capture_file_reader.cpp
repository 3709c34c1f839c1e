#include "capture_file_reader.h"

#include "base/error.h"
#include "shard_directory.h"
#include "system_error.h"

#include <algorithm>

namespace llama_steer::storage {

namespace {

bool same_capture(const capture_description & a, const capture_description & b) {
    return a.site == b.site && a.layers == b.layers && a.width == b.width && a.type == b.type &&
           a.metadata == b.metadata;
}

}  // namespace

capture_file_reader::capture_file_reader(const std::filesystem::path & directory, bool recover) {
    const uint32_t count = count_shards(directory);
    if (count == 0) {
        throw error(error_code::FILE_NOT_FOUND, displayed(directory) + " holds no capture file");
    }
    for (uint32_t i = 0; i < count; ++i) {
        shards_.push_back(std::make_unique<const shard_reader>(shard_path(directory, i), i, recover));
    }
    check_order();
}

void capture_file_reader::check_order() const {
    uint64_t rows = 0;
    for (const auto & each : shards_) {
        const shard_header & header = each->header();
        const std::string name = "shard " + std::to_string(header.shard);
        if (!same_capture(header.description, description())) {
            throw error(error_code::DATA_DAMAGED, name + " belongs to another capture than shard 0");
        }
        if (header.first_row != rows) {
            throw error(error_code::DATA_DAMAGED, name + " begins with row " + std::to_string(header.first_row) +
                                                      ", not " + std::to_string(rows));
        }
        if (each != shards_.back() && header.state != shard_state::finished) {
            throw error(error_code::DATA_DAMAGED, name + " was not finished, but another follows");
        }
        rows += each->rows();
    }
}

uint64_t capture_file_reader::rows() const { return shards_.back()->header().first_row + shards_.back()->rows(); }

std::vector<shard_range> capture_file_reader::ranges(uint64_t from, uint64_t count) const {
    if (from > rows() || count > rows() - from) {
        throw error(error_code::INVALID_ARGUMENT, "there are no rows " + std::to_string(from) + " to " +
                                                      std::to_string(from + count) + ": the file has " +
                                                      std::to_string(rows()) + " rows");
    }
    std::vector<shard_range> found;
    for (size_t i = 0; i < shards_.size(); ++i) {
        const uint64_t first = shards_[i]->header().first_row;
        const uint64_t begin = std::max(from, first);
        const uint64_t end = std::min(from + count, first + shards_[i]->rows());
        if (begin < end) {
            found.push_back({i, begin - first, end - begin});
        }
    }
    return found;
}

void capture_file_reader::copy(const std::vector<size_t> & slots, uint64_t from, size_t count, element_type as,
                               void * into, const cancellation & cancelled) const {
    if (std::any_of(slots.begin(), slots.end(), [&](size_t slot) { return slot >= description().layers.size(); })) {
        throw error(error_code::INVALID_ARGUMENT,
                    "the file has " + std::to_string(description().layers.size()) + " layers, fewer than were asked");
    }
    const uint64_t bytes = description().width * element_bytes(as);
    uint64_t done = 0;
    for (const shard_range & each : ranges(from, count)) {
        std::vector<void *> targets;
        for (size_t i = 0; i < slots.size(); ++i) {
            targets.push_back(static_cast<std::byte *>(into) + (i * count + done) * bytes);
        }
        shards_[each.shard]->copy(slots, each.first, static_cast<size_t>(each.rows), as, targets, cancelled);
        done += each.rows;
    }
}

void capture_file_reader::verify(const std::function<void(double)> & progress, const cancellation & cancelled) const {
    for (size_t i = 0; i < shards_.size(); ++i) {
        shards_[i]->verify(cancelled);
        if (progress) {
            progress(static_cast<double>(i + 1) / static_cast<double>(shards_.size()));
        }
    }
}

mapped_rows capture_file_reader::layer_rows(size_t shard, size_t slot) const {
    return {shards_[shard]->mapped_rows(slot), shards_[shard]->rows()};
}

}  // namespace llama_steer::storage
