#include "checksum.h"

#include "little_endian.h"

#include <array>

namespace llama_steer::ridge {

namespace {

constexpr std::uint64_t reflected_polynomial = 0xc96c5795d7870f42u;

// tables[k][b]: what byte b followed by k zero bytes adds, so that eight bytes go in one step.
using tables = std::array<std::array<std::uint64_t, 256>, 8>;

tables make_tables() {
    tables made{};
    for (std::uint64_t byte = 0; byte < 256; byte++) {
        std::uint64_t crc = byte;
        for (int bit = 0; bit < 8; bit++) crc = (crc >> 1) ^ (crc & 1 ? reflected_polynomial : 0);
        made[0][byte] = crc;
    }
    for (std::size_t k = 1; k < 8; k++) {
        for (std::size_t byte = 0; byte < 256; byte++) {
            made[k][byte] = (made[k - 1][byte] >> 8) ^ made[0][made[k - 1][byte] & 0xff];
        }
    }
    return made;
}

}  // namespace

std::uint64_t checksum64(const std::uint8_t * bytes, std::size_t count) {
    static const tables table = make_tables();
    std::uint64_t crc = ~std::uint64_t(0);
    for (; count >= 8; bytes += 8, count -= 8) {
        const std::uint64_t mixed = crc ^ load64(bytes);
        crc = 0;
        for (std::size_t k = 0; k < 8; k++) crc ^= table[7 - k][(mixed >> (8 * k)) & 0xff];
    }
    for (; count > 0; bytes++, count--) crc = (crc >> 8) ^ table[0][(crc & 0xff) ^ *bytes];
    return ~crc;
}

}  // namespace llama_steer::ridge
