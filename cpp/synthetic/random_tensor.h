#pragma once

#include "synthetic/tensor_spec.h"

#include <array>
#include <cstddef>
#include <cstdint>

#include <ggml.h>

namespace llama_steer::synthetic {

/// The elements of one tensor, drawn from a bell-shaped distribution and written in order as they lie in the file. They
/// depend on the seed and the tensor's name and type alone: whole numbers are drawn, and scaled by operations that
/// round alike everywhere.
class random_tensor {
public:
    /// `type` is float32, float16, Q8_0 or Q4_0. The block types have a mean of 0, and their rows fill whole blocks.
    random_tensor(const tensor_spec & spec, ggml_type type, uint64_t seed);

    /// Writes the next `count` elements, whole blocks: ggml_row_size(type, count) bytes.
    void write(void * destination, int64_t count);

private:
    uint64_t draw();
    float draw_value();
    void write_q8_0(uint8_t * block);
    void write_q4_0(uint8_t * block);

    ggml_type type_;
    uint64_t state_;
    float mean_;
    float step_;                                  ///< what one whole number of `draw_value` counts
    std::array<ggml_fp16_t, 16> block_scales_{};  ///< one of them is drawn for each block
};

}  // namespace llama_steer::synthetic
