#pragma once

#include "shard_header.h"

#include <filesystem>

namespace llama_steer::storage {

/// Writes to `to` what the first `compacted.rows` rows of the shard at `from` hold, under the header `compacted`, and
/// returns once it lies on the disk. Throws FILE_WRITE_FAILED; DATA_DAMAGED, FILE_UNREADABLE for the source.
/// @param source the layout of the shard at `from`
void write_compacted(const std::filesystem::path & from, const shard_layout & source, const shard_header & compacted,
                     const std::filesystem::path & to);

}  // namespace llama_steer::storage
