// CRC-64/XZ: polynomial 0x42f0e1eba9ea3693 (ECMA-182), bits reflected, initial and final value all ones. Every error
// confined to 64 bits in a row is found, any other with probability 1 - 2^-64. Source: ECMA-182, annex B; the XZ file
// format, section 6. Check value: "123456789" gives 0x995dc9bbdf1939fa.
#pragma once

#include <cstddef>
#include <cstdint>

namespace llama_steer::ridge {

std::uint64_t checksum64(const std::uint8_t * bytes, std::size_t count);

}  // namespace llama_steer::ridge
