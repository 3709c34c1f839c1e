#include "attention/attention_math.h"

#include "base/lanes.h"

namespace llama_steer {

namespace {

/// `queries` queries at once, and the keys by fours: each key that is loaded serves all of these queries.
template <int width_of_lanes, int queries>
LLAMA_STEER_INLINE void score_block(const float * query, int64_t query_stride, const float * keys, int64_t key_stride,
                                    int cells, int64_t width, float * scores) {
    using vector = lanes<width_of_lanes>;
    for (int c = 0; c < cells; c += 4) {
        const float * key = keys + c * key_stride;
        vector sums[queries][4] = {};
        for (int64_t i = 0; i < width; i += width_of_lanes) {
            vector some[4];
            LLAMA_STEER_UNROLL for (int k = 0; k < 4; ++k) some[k].load(key + k * key_stride + i);
            LLAMA_STEER_UNROLL for (int q = 0; q < queries; ++q) {
                vector mine;
                mine.load(query + q * query_stride + i);
                LLAMA_STEER_UNROLL for (int k = 0; k < 4; ++k) sums[q][k].add_product(mine, some[k]);
            }
        }
        LLAMA_STEER_UNROLL for (int q = 0; q < queries; ++q) totals(sums[q], scores + q * tile_cells + c);
    }
}

template <int width_of_lanes, int most>
LLAMA_STEER_INLINE void score(const float * query, int64_t query_stride, int count, const float * keys,
                              int64_t key_stride, int cells, int64_t width, float * scores) {
    int q = 0;
    for (; q + most <= count; q += most) {
        score_block<width_of_lanes, most>(query + q * query_stride, query_stride, keys, key_stride, cells, width,
                                          scores + q * tile_cells);
    }
    for (; q < count; ++q) {
        score_block<width_of_lanes, 1>(query + q * query_stride, query_stride, keys, key_stride, cells, width,
                                       scores + q * tile_cells);
    }
}

template <int width_of_lanes>
LLAMA_STEER_INLINE float exponentiate(float * scores, float subtracted) {
    lanes<width_of_lanes> parts[4] = {};
    static_assert(tile_cells % (4 * width_of_lanes) == 0, "four sums that need not wait for each other");
    for (int c = 0; c < tile_cells; c += 4 * width_of_lanes) {
        LLAMA_STEER_UNROLL for (int k = 0; k < 4; ++k) {
            lanes<width_of_lanes> some;
            some.load(scores + c + k * width_of_lanes);
            some.subtract(subtracted);
            some.exponentiate();
            some.store(scores + c + k * width_of_lanes);
            parts[k].add(some);
        }
    }
    float sums[4];
    totals(parts, sums);
    return (sums[0] + sums[1]) + (sums[2] + sums[3]);
}

/// The sums of `queries` queries over `vectors` vectors of the values' width stay in registers.
template <int width_of_lanes, int queries, int vectors>
LLAMA_STEER_INLINE void mix_block(const float * weights, const float * values, int64_t value_stride, int cells,
                                  float * sums, int64_t sum_stride) {
    lanes<width_of_lanes> held[queries][vectors];
    LLAMA_STEER_UNROLL for (int q = 0; q < queries; ++q) {
        LLAMA_STEER_UNROLL for (int v = 0; v < vectors; ++v) held[q][v].load(sums + q * sum_stride +
                                                                             v * width_of_lanes);
    }
    for (int c = 0; c < cells; ++c) {
        lanes<width_of_lanes> some[vectors];
        LLAMA_STEER_UNROLL for (int v = 0; v < vectors; ++v) some[v].load(values + c * value_stride +
                                                                          v * width_of_lanes);
        LLAMA_STEER_UNROLL for (int q = 0; q < queries; ++q) {
            const float weight = weights[q * tile_cells + c];
            LLAMA_STEER_UNROLL for (int v = 0; v < vectors; ++v) held[q][v].add_product(some[v], weight);
        }
    }
    LLAMA_STEER_UNROLL for (int q = 0; q < queries; ++q) {
        LLAMA_STEER_UNROLL for (int v = 0; v < vectors; ++v) held[q][v].store(sums + q * sum_stride +
                                                                              v * width_of_lanes);
    }
}

template <int width_of_lanes, int queries, int vectors>
LLAMA_STEER_INLINE void mix_rows(const float * weights, const float * values, int64_t value_stride, int cells,
                                 int64_t width, float * sums, int64_t sum_stride) {
    int64_t i = 0;
    for (; i + vectors * width_of_lanes <= width; i += vectors * width_of_lanes) {
        mix_block<width_of_lanes, queries, vectors>(weights, values + i, value_stride, cells, sums + i, sum_stride);
    }
    for (; i < width; i += width_of_lanes) {
        mix_block<width_of_lanes, queries, 1>(weights, values + i, value_stride, cells, sums + i, sum_stride);
    }
}

template <int width_of_lanes, int most, int vectors>
LLAMA_STEER_INLINE void mix(const float * weights, int count, const float * values, int64_t value_stride, int cells,
                            int64_t width, float * sums, int64_t sum_stride) {
    int q = 0;
    for (; q + most <= count; q += most) {
        mix_rows<width_of_lanes, most, vectors>(weights + q * tile_cells, values, value_stride, cells, width,
                                                sums + q * sum_stride, sum_stride);
    }
    for (; q < count; ++q) {
        mix_rows<width_of_lanes, 1, 4>(weights + q * tile_cells, values, value_stride, cells, width,
                                       sums + q * sum_stride, sum_stride);
    }
}

template <int width_of_lanes>
LLAMA_STEER_INLINE void scale(float * row, float by, int64_t width) {
    for (int64_t i = 0; i < width; i += width_of_lanes) {
        lanes<width_of_lanes> some;
        some.load(row + i);
        some.scale(by);
        some.store(row + i);
    }
}

// `queries` and `vectors` fill the registers: 4 * queries sums of scores, queries * vectors sums of values.
#define LLAMA_STEER_ATTENTION(name, attribute, lanes, queries, vectors)                                                \
    attribute void score_##name(const float * query, int64_t query_stride, int count, const float * keys,              \
                                int64_t key_stride, int cells, int64_t width, float * scores) {                        \
        score<lanes, queries>(query, query_stride, count, keys, key_stride, cells, width, scores);                     \
    }                                                                                                                  \
    attribute float largest_##name(const float * scores) {                                                             \
        return largest_of<lanes>(scores, tile_cells / (4 * (lanes)));                                                  \
    }                                                                                                                  \
    attribute float exponentiate_##name(float * scores, float subtracted) {                                            \
        return exponentiate<lanes>(scores, subtracted);                                                                \
    }                                                                                                                  \
    attribute void mix_##name(const float * weights, int count, const float * values, int64_t value_stride, int cells, \
                              int64_t width, float * sums, int64_t sum_stride) {                                       \
        mix<lanes, queries, vectors>(weights, count, values, value_stride, cells, width, sums, sum_stride);            \
    }                                                                                                                  \
    attribute void scale_##name(float * row, float by, int64_t width) { scale<lanes>(row, by, width); }                \
    constexpr attention_math math_##name{#name,      score_##name, largest_##name, exponentiate_##name,                \
                                         mix_##name, scale_##name};

#if LLAMA_STEER_X86
LLAMA_STEER_ATTENTION(avx512, __attribute__((target("avx512f,avx2,fma"))), 16, 4, 4)
LLAMA_STEER_ATTENTION(avx2, __attribute__((target("avx2,fma"))), 8, 2, 4)
LLAMA_STEER_ATTENTION(sse2, , 4, 2, 4)
#else
LLAMA_STEER_ATTENTION(generic, , 4, 4, 4)
#endif

std::vector<attention_math> detect() {
    std::vector<attention_math> found;
#if LLAMA_STEER_X86
    __builtin_cpu_init();
    const bool avx2 = __builtin_cpu_supports("avx2") && __builtin_cpu_supports("fma");
    if (avx2 && __builtin_cpu_supports("avx512f")) found.push_back(math_avx512);
    if (avx2) found.push_back(math_avx2);
    found.push_back(math_sse2);
#else
    found.push_back(math_generic);
#endif
    return found;
}

}  // namespace

const std::vector<attention_math> & supported_attention_math() {
    static const std::vector<attention_math> all = detect();
    return all;
}

}  // namespace llama_steer
