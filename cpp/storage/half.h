// IEEE 754 binary16 as bits in a uint16_t.
#pragma once

#include <cstddef>
#include <cstdint>

namespace llama_steer::storage {

/// Rounds to nearest, ties to even. Infinities and NaN stay what they are.
/// @return the index of the first finite value that no finite half can hold, or `count` where there is none; all
///         values are converted either way.
size_t to_half(const float * values, size_t count, uint16_t * halves);

/// Exact.
void to_float(const uint16_t * halves, size_t count, float * values);

}  // namespace llama_steer::storage
