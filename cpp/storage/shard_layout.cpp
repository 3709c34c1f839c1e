#include "shard_layout.h"

#include "crc32c.h"

#include <algorithm>

namespace llama_steer::storage {

uint64_t capacity_for(const capture_description & description, uint64_t bytes) {
    const uint64_t labels = 4 * (label_columns.size() + 1);
    const uint64_t row = labels + description.layers.size() * (4 + description.row_bytes());
    return std::clamp<uint64_t>(bytes / row, 1, max_capacity);
}

uint32_t label_checksum(uint64_t number, const std::array<int32_t, 4> & labels, const uint32_t * checksums,
                        size_t layers) {
    uint32_t sum = crc32c(&number, sizeof number);
    sum = crc32c(labels.data(), sizeof labels, sum);
    sum = crc32c(checksums, layers * sizeof *checksums, sum);
    return sum == 0 ? 1 : sum;
}

}  // namespace llama_steer::storage
