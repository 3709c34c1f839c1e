#include "matmul/q8_kernel.h"

#include <cfloat>
#include <cmath>
#include <cstring>

#if defined(__x86_64__) && defined(__GNUC__)
#define LLAMA_STEER_VNNI 1
#ifndef __clang__
// GCC 12 takes what its own header leaves open on purpose for a mistake (its bug 105593).
#pragma GCC diagnostic ignored "-Wuninitialized"
#pragma GCC diagnostic ignored "-Wmaybe-uninitialized"
#endif
#include <immintrin.h>
#else
#define LLAMA_STEER_VNNI 0
#endif

namespace llama_steer {

#if LLAMA_STEER_VNNI

namespace {

#define LLAMA_STEER_VNNI_TARGET __attribute__((target("avx512f,avx512bw,avx512vl,avx512dq,avx512vnni,avx2,fma,f16c")))
#define LLAMA_STEER_VNNI_INLINE LLAMA_STEER_VNNI_TARGET inline __attribute__((always_inline))

LLAMA_STEER_VNNI_TARGET void quantize(const float * from, const q8_columns & to, int64_t column) {
    const __m512 magnitude = _mm512_castsi512_ps(_mm512_set1_epi32(0x7fffffff));
    for (int64_t block = 0; block < to.blocks; ++block) {
        const __m512 low = _mm512_loadu_ps(from + block * q8_block);
        const __m512 high = _mm512_loadu_ps(from + block * q8_block + 16);
        const float largest =
            _mm512_reduce_max_ps(_mm512_max_ps(_mm512_and_ps(low, magnitude), _mm512_and_ps(high, magnitude)));
        // What is no number, or infinite, is no number for all that is multiplied with its block.
        const bool finite = _mm512_cmp_ps_mask(low, high, _CMP_UNORD_Q) == 0 && largest <= FLT_MAX;
        const __mmask16 kept = finite ? 0xffff : 0;
        const __m512 inverse = _mm512_set1_ps(largest > 0 ? 127 / largest : 0);
        const __m512i low_numbers = _mm512_maskz_cvtps_epi32(kept, _mm512_mul_ps(low, inverse));
        const __m512i high_numbers = _mm512_maskz_cvtps_epi32(kept, _mm512_mul_ps(high, inverse));
        const int64_t at = block * to.columns + column;
        auto * numbers = reinterpret_cast<__m128i *>(to.numbers + at * q8_block);
        _mm_storeu_si128(numbers, _mm512_cvtsepi32_epi8(low_numbers));
        _mm_storeu_si128(numbers + 1, _mm512_cvtsepi32_epi8(high_numbers));
        to.scales[at] = finite ? largest / 127 : NAN;
        to.shifts[at] = -128 * _mm512_reduce_add_epi32(_mm512_add_epi32(low_numbers, high_numbers));
    }
}

/// Rows `low` and `low + 4` of a block beside each other, without a sign.
LLAMA_STEER_VNNI_INLINE __m512i two_rows(const char * block, int64_t row_bytes, int64_t low) {
    const auto * first = reinterpret_cast<const __m256i *>(block + low * row_bytes);
    const auto * second = reinterpret_cast<const __m256i *>(block + (low + 4) * row_bytes);
    const __m512i both =
        _mm512_inserti64x4(_mm512_castsi256_si512(_mm256_loadu_si256(first)), _mm256_loadu_si256(second), 1);
    return _mm512_xor_si512(both, _mm512_set1_epi8(static_cast<char>(0x80)));
}

/// Of eight rows from `first` on, in result j: numbers 4j to 4j + 3 of rows 0 to 3, numbers 16 + 4j to 16 + 4j + 3 of
/// these, and the same of rows 4 to 7.
LLAMA_STEER_VNNI_INLINE void transpose(const char * block, int64_t row_bytes, int64_t first, __m512i (&to)[4]) {
    const __m512i r0 = two_rows(block, row_bytes, first);
    const __m512i r1 = two_rows(block, row_bytes, first + 1);
    const __m512i r2 = two_rows(block, row_bytes, first + 2);
    const __m512i r3 = two_rows(block, row_bytes, first + 3);
    const __m512i low01 = _mm512_unpacklo_epi32(r0, r1);
    const __m512i high01 = _mm512_unpackhi_epi32(r0, r1);
    const __m512i low23 = _mm512_unpacklo_epi32(r2, r3);
    const __m512i high23 = _mm512_unpackhi_epi32(r2, r3);
    to[0] = _mm512_unpacklo_epi64(low01, low23);
    to[1] = _mm512_unpackhi_epi64(low01, low23);
    to[2] = _mm512_unpacklo_epi64(high01, high23);
    to[3] = _mm512_unpackhi_epi64(high01, high23);
}

LLAMA_STEER_VNNI_TARGET void pack_whole(const char * matrix, int64_t row_bytes, int64_t blocks, const q8_panel & to) {
    for (int64_t block = 0; block < blocks; ++block) {
        const char * const from = matrix + block * q8_block_bytes;
        uint16_t scales[panel_rows];
        for (int64_t row = 0; row < panel_rows; ++row) {
            std::memcpy(&scales[row], from + row * row_bytes, sizeof scales[row]);
        }
        _mm512_store_ps(to.scales + block * panel_rows,
                        _mm512_cvtph_ps(_mm256_loadu_si256(reinterpret_cast<const __m256i *>(scales))));
        __m512i upper[4];
        __m512i lower[4];
        transpose(from + sizeof(uint16_t), row_bytes, 0, upper);
        transpose(from + sizeof(uint16_t), row_bytes, 8, lower);
        auto * numbers = reinterpret_cast<__m512i *>(to.numbers + block * panel_rows * q8_block);
        for (int j = 0; j < 4; ++j) {
            _mm512_store_si512(numbers + j, _mm512_shuffle_i32x4(upper[j], lower[j], _MM_SHUFFLE(2, 0, 2, 0)));
            _mm512_store_si512(numbers + j + 4, _mm512_shuffle_i32x4(upper[j], lower[j], _MM_SHUFFLE(3, 1, 3, 1)));
        }
    }
}

/// A last panel that is not full.
LLAMA_STEER_VNNI_TARGET void pack_part(const char * matrix, int64_t row_bytes, int64_t rows, int64_t blocks,
                                       const q8_panel & to) {
    for (int64_t block = 0; block < blocks; ++block) {
        char whole[panel_rows * q8_block_bytes] = {};
        for (int64_t row = 0; row < rows; ++row) {
            std::memcpy(whole + row * q8_block_bytes, matrix + row * row_bytes + block * q8_block_bytes,
                        q8_block_bytes);
        }
        pack_whole(whole, q8_block_bytes, 1,
                   {to.numbers + block * panel_rows * q8_block, to.scales + block * panel_rows});
    }
}

void pack(const char * matrix, int64_t row_bytes, int64_t rows, int64_t blocks, const q8_panel & to) {
    if (rows == panel_rows) {
        pack_whole(matrix, row_bytes, blocks, to);
    } else {
        pack_part(matrix, row_bytes, rows, blocks, to);
    }
}

/// `count` columns at once: what is loaded of the panel serves all of them, and their sums stay in registers.
template <int count>
LLAMA_STEER_VNNI_INLINE void multiply_columns(const q8_panel & panel, const q8_columns & columns, int64_t first,
                                              __mmask16 kept, float * to, int64_t stride) {
    __m512 sums[count];
    for (int c = 0; c < count; ++c) {
        sums[c] = _mm512_setzero_ps();
    }
    for (int64_t block = 0; block < columns.blocks; ++block) {
        const int64_t at = block * columns.columns + first;
        const auto * rows = reinterpret_cast<const __m512i *>(panel.numbers + block * panel_rows * q8_block);
        const int8_t * numbers = columns.numbers + at * q8_block;
        __m512i products[count];
        for (int c = 0; c < count; ++c) {
            products[c] = _mm512_set1_epi32(columns.shifts[at + c]);
        }
        for (int j = 0; j < 8; ++j) {
            const __m512i four_each = _mm512_load_si512(rows + j);
            for (int c = 0; c < count; ++c) {
                int32_t four;
                std::memcpy(&four, numbers + c * q8_block + 4 * j, sizeof four);
                products[c] = _mm512_dpbusd_epi32(products[c], four_each, _mm512_set1_epi32(four));
            }
        }
        const __m512 scales = _mm512_load_ps(panel.scales + block * panel_rows);
        for (int c = 0; c < count; ++c) {
            const __m512 scaled = _mm512_mul_ps(_mm512_cvtepi32_ps(products[c]), scales);
            sums[c] = _mm512_fmadd_ps(scaled, _mm512_set1_ps(columns.scales[at + c]), sums[c]);
        }
    }
    for (int c = 0; c < count; ++c) {
        _mm512_mask_storeu_ps(to + (first + c) * stride, kept, sums[c]);
    }
}

LLAMA_STEER_VNNI_TARGET void multiply(const q8_panel & panel, const q8_columns & columns, int64_t rows, float * to,
                                      int64_t stride) {
    const auto kept = static_cast<__mmask16>((1U << rows) - 1);
    int64_t first = 0;
    for (; first + 8 <= columns.columns; first += 8) {
        multiply_columns<8>(panel, columns, first, kept, to, stride);
    }
    switch (columns.columns - first) {
        case 7:
            return multiply_columns<7>(panel, columns, first, kept, to, stride);
        case 6:
            return multiply_columns<6>(panel, columns, first, kept, to, stride);
        case 5:
            return multiply_columns<5>(panel, columns, first, kept, to, stride);
        case 4:
            return multiply_columns<4>(panel, columns, first, kept, to, stride);
        case 3:
            return multiply_columns<3>(panel, columns, first, kept, to, stride);
        case 2:
            return multiply_columns<2>(panel, columns, first, kept, to, stride);
        case 1:
            return multiply_columns<1>(panel, columns, first, kept, to, stride);
        default:
            return;
    }
}

constexpr q8_kernel kernel_vnni{"avx512_vnni", quantize, pack, multiply};

bool has_vnni() {
    __builtin_cpu_init();
    return __builtin_cpu_supports("avx512f") && __builtin_cpu_supports("avx512bw") &&
           __builtin_cpu_supports("avx512vl") && __builtin_cpu_supports("avx512dq") &&
           __builtin_cpu_supports("avx512vnni");
}

}  // namespace

const q8_kernel * supported_q8_kernel() {
    static const bool supported = has_vnni();
    return supported ? &kernel_vnni : nullptr;
}

#else

const q8_kernel * supported_q8_kernel() { return nullptr; }

#endif

}  // namespace llama_steer
