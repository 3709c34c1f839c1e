#pragma once

// Some floats that one instruction works on: a vector type where the compiler has them (GCC, Clang), an array and loops
// elsewhere. Only for the sources of kernels, which use it in functions compiled for one kind of processor each.

#include <cmath>
#include <cstdint>
#include <cstring>

#if defined(__GNUC__) || defined(__clang__)
#define LLAMA_STEER_INLINE inline __attribute__((always_inline))
#define LLAMA_STEER_VECTORS 1
#else
#define LLAMA_STEER_INLINE inline
#define LLAMA_STEER_VECTORS 0
#endif

// Clang, and GCC from version 12 on.
#if LLAMA_STEER_VECTORS && defined(__has_builtin)
#if __has_builtin(__builtin_shufflevector)
#define LLAMA_STEER_SHUFFLES 1
#endif
#endif
#ifndef LLAMA_STEER_SHUFFLES
#define LLAMA_STEER_SHUFFLES 0
#endif

#if LLAMA_STEER_VECTORS && defined(__x86_64__)
#define LLAMA_STEER_X86 1
#else
#define LLAMA_STEER_X86 0
#endif

#if defined(__GNUC__) && !defined(__clang__)
#define LLAMA_STEER_UNROLL _Pragma("GCC unroll 16")
#else
#define LLAMA_STEER_UNROLL
#endif

namespace llama_steer {

#if LLAMA_STEER_VECTORS

template <int count>
struct lanes {
    typedef float floats __attribute__((vector_size(count * sizeof(float))));
    typedef uint32_t words __attribute__((vector_size(count * sizeof(float))));
    typedef float loaded __attribute__((vector_size(count * sizeof(float)), aligned(sizeof(float)), may_alias));

    floats value;

    LLAMA_STEER_INLINE void fill(float with) { value = floats{} + with; }
    LLAMA_STEER_INLINE void load(const float * from) { value = *reinterpret_cast<const loaded *>(from); }
    LLAMA_STEER_INLINE void store(float * to) const { *reinterpret_cast<loaded *>(to) = value; }
    LLAMA_STEER_INLINE void add(const lanes & other) { value += other.value; }
    LLAMA_STEER_INLINE void subtract(float other) { value -= other; }
    LLAMA_STEER_INLINE void scale(float by) { value *= by; }
    LLAMA_STEER_INLINE void add_product(const lanes & a, const lanes & b) { value += a.value * b.value; }
    LLAMA_STEER_INLINE void add_product(const lanes & a, float b) { value += a.value * b; }
    LLAMA_STEER_INLINE void take_larger(const lanes & other) { value = value > other.value ? value : other.value; }

    /// e to the power of each, for powers of at most 0; 0 from -87 on down, where the result would hardly be a number.
    /// What is no number stays none.
    LLAMA_STEER_INLINE void exponentiate() {
        // x = n ln 2 + r with |r| <= ln 2 / 2: 2^n goes into the exponent's bits, e^r is a polynomial. Adding 1.5 *
        // 2^23 rounds to whole numbers and leaves them in the lowest bits.
        const floats x = value;
        const floats shifted = x * 1.44269504F + 12582912.0F;
        const floats n = shifted - 12582912.0F;
        const floats r = (x - n * 0.693359375F) + n * 2.12194440e-4F;
        floats sum = floats{} + 1.3888889e-3F;
        sum = sum * r + 8.3333333e-3F;
        sum = sum * r + 4.16666667e-2F;
        sum = sum * r + 0.166666667F;
        sum = sum * r + 0.5F;
        sum = sum * (r * r) + r + 1.0F;
        // Casts between vectors of one size keep the bits; what is too small to be scaled is not kept.
        const words scaled = (words)sum + ((words)shifted << 23);
        const words vanishing = (words)(x <= -87.0F);
        value = (floats)(scaled & ~vanishing);
    }
};

#else

template <int count>
struct lanes {
    float value[count];

    void fill(float with) {
        for (float & each : value) each = with;
    }
    void load(const float * from) { std::memcpy(value, from, sizeof value); }
    void store(float * to) const { std::memcpy(to, value, sizeof value); }
    void add(const lanes & other) {
        for (int i = 0; i < count; ++i) value[i] += other.value[i];
    }
    void subtract(float other) {
        for (float & each : value) each -= other;
    }
    void scale(float by) {
        for (float & each : value) each *= by;
    }
    void add_product(const lanes & a, const lanes & b) {
        for (int i = 0; i < count; ++i) value[i] += a.value[i] * b.value[i];
    }
    void add_product(const lanes & a, float b) {
        for (int i = 0; i < count; ++i) value[i] += a.value[i] * b;
    }
    void take_larger(const lanes & other) {
        for (int i = 0; i < count; ++i) value[i] = value[i] > other.value[i] ? value[i] : other.value[i];
    }
    void exponentiate() {
        for (float & each : value) each = each <= -87.0F ? 0.0F : std::exp(each);
    }
};

#endif

// What is left of four vectors when each is added up: halves are added to each other, whatever the width, so that one
// vector's sum does not depend on its neighbours.

template <int count>
LLAMA_STEER_INLINE void add_halves(const lanes<count> & from, lanes<count / 2> & to);

#if LLAMA_STEER_SHUFFLES
template <>
LLAMA_STEER_INLINE void add_halves<16>(const lanes<16> & from, lanes<8> & to) {
    to.value = __builtin_shufflevector(from.value, from.value, 0, 1, 2, 3, 4, 5, 6, 7) +
               __builtin_shufflevector(from.value, from.value, 8, 9, 10, 11, 12, 13, 14, 15);
}
template <>
LLAMA_STEER_INLINE void add_halves<8>(const lanes<8> & from, lanes<4> & to) {
    to.value = __builtin_shufflevector(from.value, from.value, 0, 1, 2, 3) +
               __builtin_shufflevector(from.value, from.value, 4, 5, 6, 7);
}
LLAMA_STEER_INLINE void totals(const lanes<4> (&of)[4], float * to) {
    const auto low = __builtin_shufflevector(of[0].value, of[1].value, 0, 1, 4, 5) +
                     __builtin_shufflevector(of[0].value, of[1].value, 2, 3, 6, 7);
    const auto high = __builtin_shufflevector(of[2].value, of[3].value, 0, 1, 4, 5) +
                      __builtin_shufflevector(of[2].value, of[3].value, 2, 3, 6, 7);
    lanes<4> sums;
    sums.value = __builtin_shufflevector(low, high, 0, 2, 4, 6) + __builtin_shufflevector(low, high, 1, 3, 5, 7);
    sums.store(to);
}
#else
template <int count>
LLAMA_STEER_INLINE void add_halves(const lanes<count> & from, lanes<count / 2> & to) {
    for (int i = 0; i < count / 2; ++i) to.value[i] = from.value[i] + from.value[i + count / 2];
}
LLAMA_STEER_INLINE void totals(const lanes<4> (&of)[4], float * to) {
    for (int i = 0; i < 4; ++i) {
        to[i] = (of[i].value[0] + of[i].value[2]) + (of[i].value[1] + of[i].value[3]);
    }
}
#endif

template <int count>
LLAMA_STEER_INLINE void totals(const lanes<count> (&of)[4], float * to) {
    lanes<count / 2> halves[4];
    LLAMA_STEER_UNROLL for (int i = 0; i < 4; ++i) add_halves<count>(of[i], halves[i]);
    totals(halves, to);
}

/// The largest of `blocks` times four vectors of numbers.
template <int count>
LLAMA_STEER_INLINE float largest_of(const float * numbers, int64_t blocks) {
    lanes<count> found[4];
    LLAMA_STEER_UNROLL for (int k = 0; k < 4; ++k) found[k].load(numbers + k * count);
    for (int64_t block = 1; block < blocks; ++block) {
        LLAMA_STEER_UNROLL for (int k = 0; k < 4; ++k) {
            lanes<count> some;
            some.load(numbers + (4 * block + k) * count);
            found[k].take_larger(some);
        }
    }
    found[0].take_larger(found[1]);
    found[2].take_larger(found[3]);
    found[0].take_larger(found[2]);
    float each[count];
    found[0].store(each);
    float result = each[0];
    LLAMA_STEER_UNROLL for (int i = 1; i < count; ++i) result = each[i] > result ? each[i] : result;
    return result;
}

}  // namespace llama_steer
