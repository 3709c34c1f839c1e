// Numbers as bytes, least first, on any machine. Written out, so that compilers make one instruction of each.
#pragma once

#include <cstdint>
#include <cstring>

namespace llama_steer::ridge {

inline void store64(std::uint64_t v, std::uint8_t * to) {
    const std::uint8_t bytes[8] = {std::uint8_t(v),       std::uint8_t(v >> 8),  std::uint8_t(v >> 16),
                                   std::uint8_t(v >> 24), std::uint8_t(v >> 32), std::uint8_t(v >> 40),
                                   std::uint8_t(v >> 48), std::uint8_t(v >> 56)};
    std::memcpy(to, bytes, sizeof bytes);
}

inline std::uint64_t load64(const std::uint8_t * from) {
    return std::uint64_t(from[0]) | std::uint64_t(from[1]) << 8 | std::uint64_t(from[2]) << 16 |
           std::uint64_t(from[3]) << 24 | std::uint64_t(from[4]) << 32 | std::uint64_t(from[5]) << 40 |
           std::uint64_t(from[6]) << 48 | std::uint64_t(from[7]) << 56;
}

}  // namespace llama_steer::ridge
