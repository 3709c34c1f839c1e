// IEEE 754 binary16 as bits in a uint16_t.
#pragma once

#include <cstddef>
#include <cstdint>
#include <cstring>

namespace llama_steer {

/// Rounds to nearest, ties to even. Infinities and NaN stay what they are.
/// @return the index of the first finite value that no finite half can hold, or `count` where there is none; all
///         values are converted either way.
size_t to_half(const float * values, size_t count, uint16_t * halves);

/// Exact.
void to_float(const uint16_t * halves, size_t count, float * values);

/// The value, exactly, of any of the 65536 bit patterns.
inline double half_to_double(uint16_t half) {
    const uint64_t exponent = (half >> 10) & 0x1fU;
    const uint64_t fraction = half & 0x3ffU;
    const uint64_t wide = exponent == 0x1f ? 0x7ff : exponent + (1023 - 15);
    const uint64_t bits = (wide << 52) | (fraction << 42);
    double normal = 0;
    std::memcpy(&normal, &bits, sizeof normal);
    const double magnitude = exponent == 0 ? static_cast<double>(fraction) * 0x1p-24 : normal;
    return (half & 0x8000U) != 0 ? -magnitude : magnitude;
}

}  // namespace llama_steer
