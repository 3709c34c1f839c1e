#pragma once

#include "base/element_type.h"

#include <cstdint>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

namespace llama_steer::storage {

/// "f32" or "f16".
const char * element_name(element_type type);

/// What a capture file holds: all its shards say the same.
struct capture_description {
    std::string site;             ///< such as "residual"
    std::vector<int32_t> layers;  ///< numbers of the model's blocks, ascending
    uint64_t width = 0;           ///< elements in a row
    element_type type = element_type::f32;
    std::vector<std::pair<std::string, std::string>> metadata;  ///< the caller's own, by key

    /// Bytes of a row of one layer.
    uint64_t row_bytes() const { return width * element_bytes(type); }
};

constexpr size_t max_layers = 4096;
constexpr uint64_t max_width = uint64_t{1} << 24;

/// Throws INVALID_ARGUMENT for what no file can hold.
void check_description(const capture_description & description);

/// Throws INVALID_ARGUMENT, or WIDTH_MISMATCH, where a writer that goes on with `existing` describes something else.
/// No metadata at all stands for the existing.
void check_same_capture(const capture_description & existing, const capture_description & given);

/// The layers as text, "0,1,2", and back; the latter throws DATA_DAMAGED.
std::string layers_text(const std::vector<int32_t> & layers);
std::vector<int32_t> layers_of(std::string_view text);

}  // namespace llama_steer::storage
