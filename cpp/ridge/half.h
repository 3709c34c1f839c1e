// IEEE 754 binary16, held as its bits.
#pragma once

#include <cstdint>
#include <cstring>

namespace llama_steer::ridge {

/// The value, exactly, of any of the 65536 bit patterns.
inline double half_to_double(std::uint16_t half) {
    const std::uint64_t exponent = (half >> 10) & 0x1fu, fraction = half & 0x3ffu;
    const std::uint64_t wide = exponent == 0x1f ? 0x7ff : exponent + (1023 - 15);
    const std::uint64_t bits = (wide << 52) | (fraction << 42);
    double normal;
    std::memcpy(&normal, &bits, sizeof normal);
    const double magnitude = exponent == 0 ? double(fraction) * 0x1p-24 : normal;
    return half & 0x8000u ? -magnitude : magnitude;
}

}  // namespace llama_steer::ridge
