#include "crc32c.h"

#include <array>
#include <cstring>

#if defined(__x86_64__) || defined(_M_X64)
#define LLAMA_STEER_CRC_X86
#include <nmmintrin.h>
#ifdef _MSC_VER
#include <intrin.h>
#endif
#elif defined(__aarch64__) && defined(__ARM_FEATURE_CRC32)
#define LLAMA_STEER_CRC_ARM
#include <arm_acle.h>
#endif

#if defined(LLAMA_STEER_CRC_X86) && !defined(_MSC_VER)
#define LLAMA_STEER_CRC_TARGET __attribute__((target("sse4.2")))
#else
#define LLAMA_STEER_CRC_TARGET
#endif

namespace llama_steer::storage {

namespace {

using tables = std::array<std::array<uint32_t, 256>, 8>;

constexpr tables make_tables() {
    tables made{};
    for (uint32_t i = 0; i < 256; ++i) {
        uint32_t value = i;
        for (int bit = 0; bit < 8; ++bit) {
            value = (value >> 1) ^ ((value & 1) != 0 ? 0x82f63b78U : 0);
        }
        made[0][i] = value;
    }
    for (size_t slice = 1; slice < made.size(); ++slice) {
        for (uint32_t i = 0; i < 256; ++i) {
            const uint32_t previous = made[slice - 1][i];
            made[slice][i] = (previous >> 8) ^ made[0][previous & 0xff];
        }
    }
    return made;
}

constexpr tables table = make_tables();

uint64_t word_at(const unsigned char * bytes) {
    uint64_t word;
    std::memcpy(&word, bytes, sizeof word);
    return word;
}

uint32_t by_table(const unsigned char * bytes, size_t size, uint32_t state) {
    for (; size >= 8; size -= 8, bytes += 8) {
        const uint64_t word = word_at(bytes) ^ state;
        state = 0;
        for (size_t slice = 0; slice < 8; ++slice) {
            state ^= table[7 - slice][(word >> (8 * slice)) & 0xff];
        }
    }
    for (; size > 0; --size, ++bytes) {
        state = (state >> 8) ^ table[0][(state ^ *bytes) & 0xff];
    }
    return state;
}

#if defined(LLAMA_STEER_CRC_X86) || defined(LLAMA_STEER_CRC_ARM)
#define LLAMA_STEER_CRC_HARDWARE

#ifdef LLAMA_STEER_CRC_X86
LLAMA_STEER_CRC_TARGET inline uint32_t step_word(uint32_t state, uint64_t word) {
    return static_cast<uint32_t>(_mm_crc32_u64(state, word));
}
LLAMA_STEER_CRC_TARGET inline uint32_t step_byte(uint32_t state, unsigned char byte) {
    return _mm_crc32_u8(state, byte);
}
bool ask_for_instruction() {
#ifdef _MSC_VER
    int registers[4];
    __cpuid(registers, 1);
    return (registers[2] & (1 << 20)) != 0;
#else
    return __builtin_cpu_supports("sse4.2") != 0;
#endif
}
#else
inline uint32_t step_word(uint32_t state, uint64_t word) { return __crc32cd(state, word); }
inline uint32_t step_byte(uint32_t state, unsigned char byte) { return __crc32cb(state, byte); }
bool ask_for_instruction() { return true; }
#endif

bool has_instruction() {
    static const bool has = ask_for_instruction();
    return has;
}

LLAMA_STEER_CRC_TARGET uint32_t by_instruction(const unsigned char * bytes, size_t size, uint32_t state) {
    for (; size >= 8; size -= 8, bytes += 8) {
        state = step_word(state, word_at(bytes));
    }
    for (; size > 0; --size, ++bytes) {
        state = step_byte(state, *bytes);
    }
    return state;
}

constexpr size_t rows_at_once = 3;

LLAMA_STEER_CRC_TARGET void several_by_instruction(const unsigned char * bytes, size_t row_bytes,
                                                   uint32_t * checksums) {
    const unsigned char * second = bytes + row_bytes;
    const unsigned char * third = second + row_bytes;
    uint32_t a = ~0U;
    uint32_t b = ~0U;
    uint32_t c = ~0U;
    const size_t whole = row_bytes / 8 * 8;
    for (size_t i = 0; i < whole; i += 8) {
        a = step_word(a, word_at(bytes + i));
        b = step_word(b, word_at(second + i));
        c = step_word(c, word_at(third + i));
    }
    checksums[0] = ~by_instruction(bytes + whole, row_bytes - whole, a);
    checksums[1] = ~by_instruction(second + whole, row_bytes - whole, b);
    checksums[2] = ~by_instruction(third + whole, row_bytes - whole, c);
}
#endif

}  // namespace

uint32_t crc32c_portable(const void * data, size_t size, uint32_t before) {
    return ~by_table(static_cast<const unsigned char *>(data), size, ~before);
}

uint32_t crc32c(const void * data, size_t size, uint32_t before) {
#ifdef LLAMA_STEER_CRC_HARDWARE
    if (has_instruction()) {
        return ~by_instruction(static_cast<const unsigned char *>(data), size, ~before);
    }
#endif
    return crc32c_portable(data, size, before);
}

void crc32c_rows(const void * data, size_t row_bytes, size_t rows, uint32_t * checksums) {
    const auto * bytes = static_cast<const unsigned char *>(data);
    size_t row = 0;
#ifdef LLAMA_STEER_CRC_HARDWARE
    if (has_instruction()) {
        for (; row + rows_at_once <= rows; row += rows_at_once) {
            several_by_instruction(bytes + row * row_bytes, row_bytes, checksums + row);
        }
    }
#endif
    for (; row < rows; ++row) {
        checksums[row] = crc32c(bytes + row * row_bytes, row_bytes);
    }
}

}  // namespace llama_steer::storage
