#pragma once

#include <cstdint>

namespace llama_steer {

/// What activations are stored as.
enum class element_type : uint8_t {
    f32,
    f16,  ///< IEEE half precision, as its bits: rounded to 11 bits, infinite beyond 65504
};

/// Bytes of an element.
constexpr uint64_t element_bytes(element_type type) { return type == element_type::f32 ? 4 : 2; }

}  // namespace llama_steer
