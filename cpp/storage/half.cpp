#include "half.h"

#include <cstring>

namespace llama_steer::storage {

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

// The addition rounds in float arithmetic where the half's last bit lies: `magic` has the exponent that puts it there,
// for subnormal halves a constant one.
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

}  // namespace

size_t to_half(const float * values, size_t count, uint16_t * halves) {
    uint32_t overflowed = 0;
    for (size_t i = 0; i < count; ++i) {
        halves[i] = half_of(values[i]);
        overflowed |=
            static_cast<uint32_t>((halves[i] & 0x7fff) == half_infinity && (bits_of(values[i]) & infinity) != infinity);
    }
    for (size_t i = 0; overflowed != 0 && i < count; ++i) {
        if ((halves[i] & 0x7fff) == half_infinity && (bits_of(values[i]) & infinity) != infinity) {
            return i;
        }
    }
    return count;
}

void to_float(const uint16_t * halves, size_t count, float * values) {
    for (size_t i = 0; i < count; ++i) {
        values[i] = value_of(halves[i]);
    }
}

}  // namespace llama_steer::storage
