#include "shard_writer.h"

#include "base/error.h"
#include "compact_shard.h"
#include "crc32c.h"
#include "row_converter.h"
#include "shard_directory.h"

#include <algorithm>

namespace llama_steer::storage {

namespace {

/// Bytes that are summed and then written while they are still in the processor's cache.
constexpr uint64_t chunk_bytes = 512 * 1024;

}  // namespace

shard_writer::shard_writer(const std::filesystem::path & directory, shard_header header, bool durable)
    : final_path_(shard_path(directory, header.shard)),
      header_(std::move(header)),
      durable_(durable),
      published_(false) {
    header_.rows = 0;
    header_.state = shard_state::unclosed;
    const std::string bytes = encode_shard_header(header_);
    layout_ = layout_of(header_, bytes.size());
    sink_ = file_sink(unpublished_path(final_path_), file_sink::mode::create);
    try {
        sink_.resize(layout_.file_bytes());
        sink_.write(0, bytes.data(), bytes.size());
        clear_labels();
    } catch (...) {
        std::error_code ignored;
        std::filesystem::remove(sink_.path(), ignored);
        throw;
    }
}

shard_writer::shard_writer(const std::filesystem::path & directory, const shard_header & header, uint64_t committed,
                           bool durable)
    : final_path_(shard_path(directory, header.shard)),
      header_(header),
      layout_(layout_of(header, encode_shard_header(header).size())),
      durable_(durable),
      published_(true),
      rows_(committed),
      sink_(final_path_, file_sink::mode::reopen) {
    clear_labels();
}

shard_writer::~shard_writer() {
    if (!published_) {
        sink_.close();
        std::error_code ignored;
        std::filesystem::remove(unpublished_path(final_path_), ignored);
    }
}

void shard_writer::clear_labels() {
    const std::vector<int32_t> unused(room(), -1);
    for (size_t column = 0; column < label_columns.size(); ++column) {
        sink_.write(layout_.label_at(column, rows_), unused.data(), unused.size() * sizeof(int32_t));
    }
    const std::vector<uint32_t> uncommitted(room(), 0);
    sink_.write(layout_.label_checksum_at(rows_), uncommitted.data(), uncommitted.size() * sizeof(uint32_t));
}

void shard_writer::write_rows(const row_block & block, size_t begin, size_t count, const cancellation & cancelled) {
    checksums_.resize(count * layout_.layers);
    for (size_t slot = 0; slot < layout_.layers; ++slot) {
        write_layer(block, slot, begin, count, cancelled);
    }
    sink_.write(layout_.checksums_at(rows_), checksums_.data(), checksums_.size() * sizeof(uint32_t));
    write_labels(block, begin, count);
    if (durable_) {
        sink_.sync();
    }
}

void shard_writer::write_layer(const row_block & block, size_t slot, size_t begin, size_t count,
                               const cancellation & cancelled) {
    const uint64_t width = header_.description.width;
    const auto * rows = static_cast<const std::byte *>(block.layers[slot]);
    row_converter converter(block.type, header_.description.type);
    const size_t step = std::max<uint64_t>(1, chunk_bytes / layout_.row_bytes);
    std::vector<uint32_t> sums(std::min(step, count));
    for (size_t done = 0; done < count; done += step) {
        stop_if(cancelled);
        const size_t some = std::min(step, count - done);
        const void * bytes = converter.convert(rows + (begin + done) * width * element_bytes(block.type), some * width);
        if (converter.overflow() < some * width) {
            throw error(error_code::NOT_FINITE,
                        "row " + std::to_string(begin + done + converter.overflow() / width) + " of layer " +
                            std::to_string(header_.description.layers[slot]) + " holds at " +
                            std::to_string(converter.overflow() % width) +
                            " a value beyond what 16 bits can hold (65504), which would become infinite: write to a "
                            "file of type \"f32\"");
        }
        crc32c_rows(bytes, layout_.row_bytes, some, sums.data());
        for (size_t i = 0; i < some; ++i) {
            checksums_[(done + i) * layout_.layers + slot] = sums[i];
        }
        sink_.write(layout_.row_at(slot, rows_ + done), bytes, some * layout_.row_bytes);
    }
}

void shard_writer::write_labels(const row_block & block, size_t begin, size_t count) {
    const int32_t * given[] = {block.sequence, block.position, block.token, block.prompt};
    std::vector<std::array<int32_t, 4>> labels(count);
    std::vector<int32_t> column(count);
    for (size_t each = 0; each < label_columns.size(); ++each) {
        for (size_t i = 0; i < count; ++i) {
            column[i] = given[each] == nullptr ? -1 : given[each][begin + i];
            labels[i][each] = column[i];
        }
        sink_.write(layout_.label_at(each, rows_), column.data(), count * sizeof(int32_t));
    }
    commits_.resize(count);
    for (size_t i = 0; i < count; ++i) {
        commits_[i] =
            label_checksum(header_.first_row + rows_ + i, labels[i], &checksums_[i * layout_.layers], layout_.layers);
    }
}

void shard_writer::commit() {
    sink_.write(layout_.label_checksum_at(rows_), commits_.data(), commits_.size() * sizeof(uint32_t));
    if (durable_ && published_) {
        sink_.sync();
    }
    rows_ += commits_.size();
}

void shard_writer::publish() {
    sink_.sync();
    storage::publish(sink_.path(), final_path_);
    sink_.renamed(final_path_);
    published_ = true;
    sync_directory(final_path_.parent_path());
}

void shard_writer::finish(shard_state state) {
    if (header_.state == state) {
        return;
    }
    sink_.sync();
    header_.state = state;
    header_.rows = rows_;
    const std::string bytes = encode_shard_header(header_);
    sink_.write(0, bytes.data(), header_sector);
    sink_.sync();
}

void shard_writer::compact() {
    shard_header compacted = header_;
    compacted.capacity = rows_;
    compacted.rows = rows_;
    compacted.state = shard_state::complete;
    const std::filesystem::path made = unpublished_path(final_path_);
    try {
        write_compacted(final_path_, layout_, compacted, made);
        sink_.close();
        storage::publish(made, final_path_);
    } catch (...) {
        std::error_code ignored;
        std::filesystem::remove(made, ignored);
        throw;
    }
    sync_directory(final_path_.parent_path());
}

}  // namespace llama_steer::storage
