#pragma once

#include "capture_description.h"

#include <cstddef>
#include <cstdint>
#include <vector>

namespace llama_steer::storage {

/// Rows to be appended, as they lie in memory. Borrowed: they must stay and keep still until the append returns.
struct row_block {
    std::vector<const void *> layers;  ///< per layer of the file: [rows][width]
    element_type type = element_type::f32;
    size_t rows = 0;
    /// [rows] each, or null: -1 for all rows.
    const int32_t * sequence = nullptr;
    const int32_t * position = nullptr;
    const int32_t * token = nullptr;
    const int32_t * prompt = nullptr;  ///< index of the prompt in a data set
};

}  // namespace llama_steer::storage
