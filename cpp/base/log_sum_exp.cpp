#include "base/log_sum_exp.h"

#include "base/lanes.h"

#include <algorithm>
#include <cmath>
#include <limits>

namespace llama_steer {

namespace {

constexpr int64_t block_size = 64;

/// The sum of e^(logits[i] - largest) over whole blocks.
template <int width>
LLAMA_STEER_INLINE double sum_of_blocks(const float * logits, int64_t blocks, float largest) {
    double total = 0;
    for (int64_t block = 0; block < blocks; ++block) {
        lanes<width> sums[4] = {};
        for (int64_t i = 0; i < block_size; i += 4 * width) {
            LLAMA_STEER_UNROLL for (int k = 0; k < 4; ++k) {
                lanes<width> some;
                some.load(logits + block * block_size + i + k * width);
                some.subtract(largest);
                some.exponentiate();
                sums[k].add(some);
            }
        }
        float parts[4];
        totals(sums, parts);
        total += static_cast<double>((parts[0] + parts[1]) + (parts[2] + parts[3]));
    }
    return total;
}

struct kernel {
    float (*largest)(const float * logits, int64_t blocks);
    double (*sum)(const float * logits, int64_t blocks, float largest);
};

#define LLAMA_STEER_LOG_SUM_EXP(name, attribute, width)                                                                \
    attribute float largest_##name(const float * logits, int64_t blocks) {                                             \
        return largest_of<width>(logits, blocks * (block_size / (4 * (width))));                                       \
    }                                                                                                                  \
    attribute double sum_##name(const float * logits, int64_t blocks, float largest) {                                 \
        return sum_of_blocks<width>(logits, blocks, largest);                                                          \
    }                                                                                                                  \
    constexpr kernel kernel_##name{largest_##name, sum_##name};

LLAMA_STEER_LOG_SUM_EXP(plain, , 4)
#if LLAMA_STEER_X86
LLAMA_STEER_LOG_SUM_EXP(avx2, __attribute__((target("avx2,fma"))), 8)
LLAMA_STEER_LOG_SUM_EXP(avx512, __attribute__((target("avx512f,avx2,fma"))), 16)
#endif

kernel choose() {
#if LLAMA_STEER_X86
    __builtin_cpu_init();
    if (__builtin_cpu_supports("avx2") && __builtin_cpu_supports("fma")) {
        return __builtin_cpu_supports("avx512f") ? kernel_avx512 : kernel_avx2;
    }
#endif
    return kernel_plain;
}

}  // namespace

double log_sum_exp(const float * logits, int64_t count) {
    static const kernel chosen = choose();
    const int64_t blocks = count / block_size;
    float largest = blocks > 0 ? chosen.largest(logits, blocks) : -std::numeric_limits<float>::infinity();
    for (int64_t i = blocks * block_size; i < count; ++i) {
        largest = std::max(largest, logits[i]);
    }
    if (largest == -std::numeric_limits<float>::infinity()) {
        return static_cast<double>(largest);
    }
    double sum = blocks > 0 ? chosen.sum(logits, blocks, largest) : 0;
    for (int64_t i = blocks * block_size; i < count; ++i) {
        sum += std::exp(static_cast<double>(logits[i] - largest));
    }
    return static_cast<double>(largest) + std::log(sum);
}

}  // namespace llama_steer
