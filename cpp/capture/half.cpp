#include "capture/half.h"

#include <ggml.h>

namespace llama_steer {

void halves_to_floats(const uint16_t * halves, float * floats, size_t count) {
    ggml_fp16_to_fp32_row(reinterpret_cast<const ggml_fp16_t *>(halves), floats, static_cast<int64_t>(count));
}

}  // namespace llama_steer
