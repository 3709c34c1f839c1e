#include "shard_reader.h"

#include "base/error.h"
#include "base/half.h"
#include "crc32c.h"
#include "safetensors_header.h"
#include "system_error.h"

#include <algorithm>

namespace llama_steer::storage {

namespace {

constexpr uint64_t chunk_bytes = 512 * 1024;

/// A writer at work may be seen in the middle of a write; a second look then sees the end of it.
constexpr int looks = 3;

}  // namespace

shard_reader::shard_reader(const std::filesystem::path & path, uint32_t number, bool recover)
    : name_(displayed(path)), number_(number), recover_(recover), file_(std::make_unique<mapped_file>(path)) {
    contents found;
    for (int look = 1;; ++look) {
        try {
            found = load();
            break;
        } catch (const error & failure) {
            if (failure.code() != error_code::DATA_DAMAGED || look == looks) {
                throw;
            }
        }
    }
    header_ = std::move(found.header);
    layout_ = found.layout;
    rows_ = found.rows;
    labels_ = std::move(found.labels);
    if (recover_ && header_.state == shard_state::unclosed) {
        cut_after(intact_rows());
    }
}

void shard_reader::cut_after(uint64_t rows) {
    rows_ = rows;
    for (std::vector<int32_t> & column : labels_) {
        column.resize(rows);
    }
}

uint64_t shard_reader::intact_rows() const {
    std::vector<std::byte> buffer(layout_.row_bytes);
    for (uint64_t row = 0; row < rows_; ++row) {
        try {
            for (size_t slot = 0; slot < layout_.layers; ++slot) {
                copy({slot}, row, 1, header_.description.type, {buffer.data()}, {});
            }
        } catch (const error & failure) {
            if (failure.code() != error_code::DATA_DAMAGED) {
                throw;
            }
            return row;
        }
    }
    return rows_;
}

void shard_reader::damaged(const std::string & what) const {
    throw error(error_code::DATA_DAMAGED, name_ + " is damaged: " + what);
}

shard_reader::contents shard_reader::load() const {
    unsigned char first[8] = {};
    file_->read(0, first, static_cast<size_t>(std::min<uint64_t>(sizeof first, file_->size())));
    uint64_t json = 0;
    try {
        json = header_json_length(first, file_->size());
    } catch (const error & failure) {
        damaged(failure.what());
    }
    std::string bytes(8 + json, '\0');
    file_->read(0, &bytes[0], bytes.size());
    contents found;
    found.header = decode_shard_header(bytes, file_->size(), name_);
    found.layout = layout_of(found.header, bytes.size());
    if (found.header.shard != number_) {
        damaged("it is shard " + std::to_string(found.header.shard) + " under another's name");
    }
    load_labels(found);
    return found;
}

void shard_reader::load_labels(contents & into) const {
    const shard_layout & layout = into.layout;
    std::vector<uint32_t> commits(layout.capacity);
    file_->read(layout.label_checksum_at(0), commits.data(), 4 * commits.size());
    const auto uncommitted = std::find(commits.begin(), commits.end(), 0U);
    into.rows = static_cast<uint64_t>(uncommitted - commits.begin());
    const bool lenient = recover_ && into.header.state == shard_state::unclosed;
    if (!lenient && (std::any_of(uncommitted, commits.end(), [](uint32_t each) { return each != 0; }) ||
                     (into.header.state != shard_state::unclosed && into.rows != layout.capacity))) {
        damaged("row " + std::to_string(into.header.first_row + into.rows) + " is missing before others");
    }
    for (size_t column = 0; column < label_columns.size(); ++column) {
        into.labels[column].resize(into.rows);
        file_->read(layout.label_at(column, 0), into.labels[column].data(), 4 * into.rows);
    }
    const size_t step = std::max<uint64_t>(1, chunk_bytes / (4 * layout.layers));
    for (uint64_t begin = 0; begin < into.rows; begin += step) {
        const auto some = static_cast<size_t>(std::min<uint64_t>(step, into.rows - begin));
        const std::vector<uint32_t> sums = checksums(begin, some, layout);
        for (size_t i = 0; i < some; ++i) {
            const uint64_t row = begin + i;
            const std::array<int32_t, 4> labels = {into.labels[0][row], into.labels[1][row], into.labels[2][row],
                                                   into.labels[3][row]};
            const uint64_t number = into.header.first_row + row;
            if (label_checksum(number, labels, &sums[i * layout.layers], layout.layers) != commits[row]) {
                if (lenient) {
                    into.rows = row;
                    return;
                }
                damaged("the labels of row " + std::to_string(number) + " do not have their checksum");
            }
        }
    }
}

std::vector<uint32_t> shard_reader::checksums(uint64_t row, size_t count, const shard_layout & layout) const {
    std::vector<uint32_t> sums(count * layout.layers);
    file_->read(layout.checksums_at(row), sums.data(), 4 * sums.size());
    return sums;
}

void shard_reader::check_rows(const void * bytes, const uint32_t * expected, size_t slot, uint64_t row,
                              size_t count) const {
    std::vector<uint32_t> sums(count);
    crc32c_rows(bytes, layout_.row_bytes, count, sums.data());
    for (size_t i = 0; i < count; ++i) {
        if (sums[i] != expected[i * layout_.layers + slot]) {
            damaged("row " + std::to_string(header_.first_row + row + i) + " of layer " +
                    std::to_string(header_.description.layers[slot]) + " does not have its checksum");
        }
    }
}

void shard_reader::copy(const std::vector<size_t> & slots, uint64_t row, size_t count, element_type as,
                        const std::vector<void *> & into, const cancellation & cancelled) const {
    const uint64_t width = header_.description.width;
    const element_type type = header_.description.type;
    if (as == element_type::f16 && type != as) {
        throw error(error_code::INVALID_ARGUMENT, "only a file of halves gives halves: read floats from " + name_);
    }
    const size_t step = std::max<uint64_t>(1, chunk_bytes / layout_.row_bytes);
    const std::vector<uint32_t> sums = checksums(row, count, layout_);
    std::vector<std::byte> buffer(as == type ? 0 : std::min(step, count) * layout_.row_bytes);
    for (size_t i = 0; i < slots.size(); ++i) {
        for (size_t done = 0; done < count; done += step) {
            stop_if(cancelled);
            const size_t some = std::min(step, count - done);
            std::byte * target = static_cast<std::byte *>(into[i]) + done * width * element_bytes(as);
            std::byte * bytes = as == type ? target : buffer.data();
            file_->read(layout_.row_at(slots[i], row + done), bytes, some * layout_.row_bytes);
            check_rows(bytes, &sums[done * layout_.layers], slots[i], row + done, some);
            if (as != type) {
                to_float(reinterpret_cast<const uint16_t *>(bytes), some * width, reinterpret_cast<float *>(target));
            }
        }
    }
}

void shard_reader::verify(const cancellation & cancelled) const {
    const contents now = load();
    if (now.rows < rows_) {
        damaged("rows that were there are gone");
    }
    const size_t step = std::max<uint64_t>(1, chunk_bytes / layout_.row_bytes);
    std::vector<std::byte> buffer(std::min<uint64_t>(step, rows_) * layout_.row_bytes);
    for (uint64_t row = 0; row < rows_; row += step) {
        const auto some = static_cast<size_t>(std::min<uint64_t>(step, rows_ - row));
        for (size_t slot = 0; slot < layout_.layers; ++slot) {
            copy({slot}, row, some, header_.description.type, {buffer.data()}, cancelled);
        }
    }
}

const void * shard_reader::mapped_rows(size_t slot) const {
    file_->check_size();
    return file_->data() + layout_.row_at(slot, 0);
}

void shard_reader::check_mapped(const std::vector<size_t> & slots, uint64_t row, size_t count,
                                const cancellation & cancelled) const {
    const size_t step = std::max<uint64_t>(1, chunk_bytes / layout_.row_bytes);
    const std::vector<uint32_t> sums = checksums(row, count, layout_);
    file_->check_size();
    for (const size_t slot : slots) {
        for (size_t done = 0; done < count; done += step) {
            stop_if(cancelled);
            check_rows(file_->data() + layout_.row_at(slot, row + done), &sums[done * layout_.layers], slot, row + done,
                       std::min(step, count - done));
        }
    }
}

}  // namespace llama_steer::storage
