#pragma once

#include "capture_description.h"

#include <array>
#include <cstdint>
#include <vector>

namespace llama_steer::storage {

/// The columns of labels, in their order in a shard.
constexpr std::array<const char *, 4> label_columns = {"sequence", "position", "token", "prompt"};

/// Where what lies in a shard, in bytes from the beginning of the file:
///
///   header            padded to `header_alignment`
///   4 label columns   I32 [capacity] each: sequence, position, token, prompt
///   label_checksum    U32 [capacity]: 0 where no row is committed
///   checksum          U32 [capacity, layers]: CRC-32C of each row of each layer
///   layer.<n>         F32 or F16 [capacity, width], one layer after the other
///
/// What has 4 bytes comes first, so that everything lies at a multiple of its size whatever the capacity.
struct shard_layout {
    uint64_t header_bytes = 0;
    uint64_t layers = 0;
    uint64_t row_bytes = 0;
    uint64_t capacity = 0;  ///< rows there is room for

    uint64_t label_at(size_t column, uint64_t row) const { return header_bytes + 4 * (column * capacity + row); }
    uint64_t label_checksum_at(uint64_t row) const { return label_at(label_columns.size(), row); }
    uint64_t checksums_at(uint64_t row) const { return label_checksum_at(capacity) + 4 * layers * row; }
    uint64_t row_at(uint64_t slot, uint64_t row) const {
        return checksums_at(capacity) + (slot * capacity + row) * row_bytes;
    }
    uint64_t file_bytes() const { return row_at(layers, 0); }
};

/// The header's length is a multiple of a page, so that the data begins at one.
constexpr uint64_t header_alignment = 4096;

/// The most rows in a shard. Shards of narrow rows would else have more labels to fill in than rows to write.
constexpr uint64_t max_capacity = uint64_t{1} << 18;

/// The rows that a shard of about `bytes` has room for: 1 to `max_capacity`.
uint64_t capacity_for(const capture_description & description, uint64_t bytes);

/// The checksum that commits a row: of the row's number in the capture, its labels and the checksums of its layers, all
/// little-endian. Never 0.
uint32_t label_checksum(uint64_t number, const std::array<int32_t, 4> & labels, const uint32_t * checksums,
                        size_t layers);

}  // namespace llama_steer::storage
