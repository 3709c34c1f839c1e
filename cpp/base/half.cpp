#include "base/half.h"

#include <cstring>

#if (defined(__x86_64__) && defined(__GNUC__)) || defined(_M_X64)
#define LLAMA_STEER_HALF_X86
#include <immintrin.h>
#ifdef _MSC_VER
#include <intrin.h>
#define LLAMA_STEER_HALF_TARGET
#else
#define LLAMA_STEER_HALF_TARGET __attribute__((target("avx2,f16c")))
#endif
#endif

namespace llama_steer {

namespace {

uint32_t bits_of(float value) {
    uint32_t bits;
    std::memcpy(&bits, &value, sizeof bits);
    return bits;
}

float float_of(uint32_t bits) {
    float value;
    std::memcpy(&value, &bits, sizeof value);
    return value;
}

constexpr uint32_t infinity = 0x7f800000;
constexpr uint16_t half_infinity = 0x7c00;

// Adding 0.5 to what becomes a subnormal half rounds, in float arithmetic, where the half's last bit lies.
uint16_t half_of(float value) {
    const uint32_t bits = bits_of(value);
    const uint32_t sign = (bits >> 16) & 0x8000;
    const uint32_t magnitude = bits & 0x7fffffff;
    const uint32_t subnormal = bits_of(float_of(magnitude) + 0.5F) - bits_of(0.5F);
    const uint32_t normal = (magnitude - (112U << 23) + 0xfff + ((magnitude >> 13) & 1)) >> 13;
    const uint32_t finite = magnitude < (113U << 23) ? subnormal : normal;
    const uint32_t beyond = magnitude > infinity ? 0x7e00 : half_infinity;
    return static_cast<uint16_t>(sign | (magnitude >= (143U << 23) ? beyond : finite));
}

float value_of(uint16_t half) {
    const uint32_t sign = static_cast<uint32_t>(half & 0x8000) << 16;
    const uint32_t magnitude = half & 0x7fff;
    const uint32_t normal = (magnitude << 13) + (112U << 23);
    const uint32_t subnormal = bits_of(float_of((magnitude << 13) + (113U << 23)) - float_of(113U << 23));
    const uint32_t beyond = (magnitude << 13) | infinity;
    const uint32_t finite = magnitude < 0x400 ? subnormal : normal;
    return float_of(sign | (magnitude >= half_infinity ? beyond : finite));
}

/// The magnitudes that become infinite without being so: from halfway between the largest half and the next.
constexpr uint32_t first_too_large = 0x477ff000;

bool overflows(float value) {
    const uint32_t magnitude = bits_of(value) & 0x7fffffff;
    return magnitude >= first_too_large && magnitude < infinity;
}

#ifdef LLAMA_STEER_HALF_X86

constexpr size_t lanes = 8;

bool ask_for_instructions() {
#ifdef _MSC_VER
    int registers[4];
    __cpuid(registers, 1);
    const bool f16c = (registers[2] & (1 << 29)) != 0;
    const bool saved = (registers[2] & (1 << 27)) != 0 && (_xgetbv(0) & 6) == 6;
    __cpuidex(registers, 7, 0);
    return f16c && saved && (registers[1] & (1 << 5)) != 0;
#else
    return __builtin_cpu_supports("avx2") != 0 && __builtin_cpu_supports("f16c") != 0;
#endif
}

bool has_instructions() {
    static const bool has = ask_for_instructions();
    return has;
}

/// Whole lanes only; true where some value overflowed.
LLAMA_STEER_HALF_TARGET bool lanes_to_half(const float * values, size_t count, uint16_t * halves) {
    const __m256i magnitude = _mm256_set1_epi32(0x7fffffff);
    const __m256i below = _mm256_set1_epi32(static_cast<int>(first_too_large - 1));
    const __m256i above = _mm256_set1_epi32(static_cast<int>(infinity));
    __m256i overflowed = _mm256_setzero_si256();
    for (size_t i = 0; i < count; i += lanes) {
        const __m256 some = _mm256_loadu_ps(values + i);
        const __m256i bits = _mm256_and_si256(_mm256_castps_si256(some), magnitude);
        overflowed = _mm256_or_si256(
            overflowed, _mm256_and_si256(_mm256_cmpgt_epi32(bits, below), _mm256_cmpgt_epi32(above, bits)));
        _mm_storeu_si128(reinterpret_cast<__m128i *>(halves + i), _mm256_cvtps_ph(some, _MM_FROUND_TO_NEAREST_INT));
    }
    return _mm256_testz_si256(overflowed, overflowed) == 0;
}

LLAMA_STEER_HALF_TARGET void lanes_to_float(const uint16_t * halves, size_t count, float * values) {
    for (size_t i = 0; i < count; i += lanes) {
        const __m128i some = _mm_loadu_si128(reinterpret_cast<const __m128i *>(halves + i));
        _mm256_storeu_ps(values + i, _mm256_cvtph_ps(some));
    }
}

#else

constexpr size_t lanes = 1;
bool has_instructions() { return false; }
bool lanes_to_half(const float *, size_t, uint16_t *) { return false; }
void lanes_to_float(const uint16_t *, size_t, float *) {}

#endif

}  // namespace

size_t to_half(const float * values, size_t count, uint16_t * halves) {
    const size_t by_lanes = has_instructions() ? count / lanes * lanes : 0;
    bool overflowed = by_lanes > 0 && lanes_to_half(values, by_lanes, halves);
    for (size_t i = by_lanes; i < count; ++i) {
        halves[i] = half_of(values[i]);
        overflowed = overflowed || overflows(values[i]);
    }
    size_t first = overflowed ? 0 : count;
    while (first < count && !overflows(values[first])) {
        ++first;
    }
    return first;
}

void to_float(const uint16_t * halves, size_t count, float * values) {
    const size_t by_lanes = has_instructions() ? count / lanes * lanes : 0;
    if (by_lanes > 0) {
        lanes_to_float(halves, by_lanes, values);
    }
    for (size_t i = by_lanes; i < count; ++i) {
        values[i] = value_of(halves[i]);
    }
}

}  // namespace llama_steer
