// The header of a shard: a safetensors header with our own metadata, under a checksum. Its JSON begins with
//
//   {"__metadata__":{"header_checksum":"<8 hex digits>","state":"<8 letters>","rows":"<12 digits>",...
//
// so that what changes in a shard's life lies at fixed places within the file's first sector, and is rewritten by one
// write that a disk does as a whole or not at all.
#pragma once

#include "capture_description.h"
#include "shard_layout.h"

#include <cstdint>
#include <string>
#include <string_view>

namespace llama_steer::storage {

enum class shard_state {
    unclosed,  ///< a writer is at work, or died: the committed rows are those whose labels have their checksum
    finished,  ///< full; another shard follows, or would have
    complete,  ///< the last one of a capture that was closed
};

struct shard_header {
    capture_description description;
    uint32_t shard = 0;      ///< the shard's number
    uint64_t first_row = 0;  ///< number, in the capture, of its first row
    uint64_t capacity = 0;
    uint64_t rows = 0;  ///< as many as the capacity, unless the shard is unclosed: then 0, since its labels tell
    shard_state state = shard_state::unclosed;
};

/// What may be rewritten: the length of the part that holds all that changes.
constexpr size_t header_sector = 512;

/// All bytes before the data. The same length for every state and number of rows.
std::string encode_shard_header(const shard_header & header);

/// The layout that belongs to a header of `header_bytes`.
shard_layout layout_of(const shard_header & header, uint64_t header_bytes);

/// Throws DATA_DAMAGED, beginning with `name`, for anything but a header that `encode_shard_header` could have made
/// (white space and the order of names aside), with its checksum right, of a file of that size.
/// @param bytes the file's first `8 + length of the JSON` bytes
shard_header decode_shard_header(std::string_view bytes, uint64_t file_size, const std::string & name);

}  // namespace llama_steer::storage
