#pragma once

#include <cstddef>
#include <cstdint>

namespace llama_steer {

/// `count` IEEE half-precision numbers as float32, which represents each exactly. Any thread.
void halves_to_floats(const uint16_t * halves, float * floats, size_t count);

}  // namespace llama_steer
