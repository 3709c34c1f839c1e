#include "kernel.h"

#include "vectors.h"

#include <algorithm>

#if defined(__GNUC__) && !defined(__clang__)
#define LS_UNROLL _Pragma("GCC unroll 16")
#else
#define LS_UNROLL
#endif

namespace llama_steer::ridge::builtin {

namespace {

#if LS_VECTORS
template <int lanes>
struct pack {
    typedef double type __attribute__((vector_size(lanes * sizeof(double))));
    typedef double unaligned __attribute__((vector_size(lanes * sizeof(double)), aligned(sizeof(double)), may_alias));
};
template <int lanes>
using lanes_of = typename pack<lanes>::type;

// Not memcpy: compilers split it into smaller moves through the stack.
template <int lanes>
LS_INLINE void load(lanes_of<lanes> & v, const double * from) {
    v = *reinterpret_cast<const typename pack<lanes>::unaligned *>(from);
}
template <int lanes>
LS_INLINE void store(const lanes_of<lanes> & v, double * to) {
    *reinterpret_cast<typename pack<lanes>::unaligned *>(to) = v;
}
template <typename V>
LS_INLINE void multiply_add(V & sum, const V & v, double scale) {
    sum += v * scale;
}
#else
template <int lanes>
struct lanes_of {
    double lane[lanes];
};

template <int lanes>
LS_INLINE void load(lanes_of<lanes> & v, const double * from) {
    std::copy_n(from, lanes, v.lane);
}
template <int lanes>
LS_INLINE void store(const lanes_of<lanes> & v, double * to) {
    std::copy_n(v.lane, lanes, to);
}
template <int lanes>
LS_INLINE void multiply_add(lanes_of<lanes> & sum, const lanes_of<lanes> & v, double scale) {
    for (int i = 0; i < lanes; i++) sum.lane[i] += v.lane[i] * scale;
}
#endif

template <int lanes, int mr, int vectors>
LS_INLINE void tile(std::size_t k, double alpha, const double * a, const double * b, double * c, std::size_t ldc) {
    using vector = lanes_of<lanes>;
    vector sum[mr][vectors] = {};
    for (std::size_t p = 0; p < k; p++, a += mr, b += vectors * lanes) {
        vector column[vectors];
        LS_UNROLL for (int j = 0; j < vectors; j++) load<lanes>(column[j], b + j * lanes);
        LS_UNROLL for (int i = 0; i < mr; i++) {
            LS_UNROLL for (int j = 0; j < vectors; j++) multiply_add(sum[i][j], column[j], a[i]);
        }
    }
    LS_UNROLL for (int i = 0; i < mr; i++) {
        LS_UNROLL for (int j = 0; j < vectors; j++) {
            vector out;
            load<lanes>(out, c + i * ldc + j * lanes);
            multiply_add(out, sum[i][j], alpha);
            store<lanes>(out, c + i * ldc + j * lanes);
        }
    }
}

template <int lanes>
LS_INLINE void solve(std::size_t n, const double * l, std::size_t ldl, double * x) {
    using vector = lanes_of<lanes>;
    constexpr int vectors = static_cast<int>(solve_lanes) / lanes;
    for (std::size_t j = 0; j < n; j++) {
        const double * row = l + j * ldl;
        vector sum[vectors], known[vectors];
        LS_UNROLL for (int v = 0; v < vectors; v++) load<lanes>(sum[v], x + j * solve_lanes + v * lanes);
        for (std::size_t p = 0; p < j; p++) {
            LS_UNROLL for (int v = 0; v < vectors; v++) {
                load<lanes>(known[v], x + p * solve_lanes + v * lanes);
                multiply_add(sum[v], known[v], -row[p]);
            }
        }
        LS_UNROLL for (int v = 0; v < vectors; v++) store<lanes>(sum[v], x + j * solve_lanes + v * lanes);
        for (std::size_t v = 0; v < solve_lanes; v++) x[j * solve_lanes + v] /= row[j];
    }
}

// Tile sizes fill the registers: mr * vectors sums, the vectors of b and one broadcast of a.
#define LS_KERNEL(name, attribute, lanes, mr, vectors)                                                                 \
    attribute void tile_##name(std::size_t k, double alpha, const double * a, const double * b, double * c,            \
                               std::size_t ldc) {                                                                      \
        tile<lanes, mr, vectors>(k, alpha, a, b, c, ldc);                                                              \
    }                                                                                                                  \
    attribute void solve_##name(std::size_t n, const double * l, std::size_t ldl, double * x) {                        \
        solve<lanes>(n, l, ldl, x);                                                                                    \
    }                                                                                                                  \
    constexpr kernel kernel_##name{#name, mr, (lanes) * (vectors), tile_##name, solve_##name};

#if LS_X86
LS_KERNEL(avx512, __attribute__((target("avx512f,avx2,fma"))), 8, 12, 2)
LS_KERNEL(avx2, __attribute__((target("avx2,fma"))), 4, 6, 2)
LS_KERNEL(sse2, , 2, 4, 2)
#elif defined(__aarch64__)
LS_KERNEL(neon, , 2, 6, 4)
#else
LS_KERNEL(generic, , 2, 4, 2)
#endif

std::vector<kernel> detect() {
    std::vector<kernel> found;
#if LS_X86
    __builtin_cpu_init();
    const bool avx2 = __builtin_cpu_supports("avx2") && __builtin_cpu_supports("fma");
    if (avx2 && __builtin_cpu_supports("avx512f")) found.push_back(kernel_avx512);
    if (avx2) found.push_back(kernel_avx2);
    found.push_back(kernel_sse2);
#elif defined(__aarch64__)
    found.push_back(kernel_neon);
#else
    found.push_back(kernel_generic);
#endif
    return found;
}

}  // namespace

const std::vector<kernel> & supported_kernels() {
    static const std::vector<kernel> all = detect();
    return all;
}

}  // namespace llama_steer::ridge::builtin
