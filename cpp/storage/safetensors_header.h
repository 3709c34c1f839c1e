// The header of a safetensors file: 8 bytes with its length (little-endian), JSON, then the tensors' data.
// Source: https://github.com/huggingface/safetensors (format). Parsing treats every byte as hostile.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

namespace llama_steer::storage {

/// One tensor: its bytes are [begin, end) of what follows the header.
struct safetensors_tensor {
    std::string name;
    std::string dtype;  ///< "F32", "F16", "I32", "U32"...
    std::vector<uint64_t> shape;
    uint64_t begin = 0;
    uint64_t end = 0;

    bool operator==(const safetensors_tensor & other) const {
        return name == other.name && dtype == other.dtype && shape == other.shape && begin == other.begin &&
               end == other.end;
    }
};

struct safetensors_header {
    std::vector<std::pair<std::string, std::string>> metadata;  ///< in the order of the file
    std::vector<safetensors_tensor> tensors;                    ///< by `begin`

    /// The value of a key of the metadata, or null.
    const std::string * find(std::string_view key) const;
};

/// The longest JSON that is read or written, in bytes.
constexpr uint64_t max_header_json = 1 << 20;

/// The length of the JSON, from the file's first 8 bytes. Throws DATA_DAMAGED where it fits neither the file's size nor
/// `max_header_json`.
uint64_t header_json_length(const unsigned char (&first)[8], uint64_t file_size);

/// Parses the JSON of a header whose file has `data_size` bytes after it. Throws DATA_DAMAGED for anything but a
/// well-formed header of known dtypes whose tensors, of different names, cover the data exactly.
safetensors_header parse_safetensors(std::string_view json, uint64_t data_size);

/// The 8 bytes and the JSON, padded with spaces so that both together are a multiple of `alignment`. The JSON begins
/// with the metadata, in the order given.
std::string write_safetensors(const safetensors_header & header, uint64_t alignment);

}  // namespace llama_steer::storage
