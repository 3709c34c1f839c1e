#include "row_kernel.h"

#include "vectors.h"

namespace llama_steer::ridge::builtin {

namespace {

constexpr std::size_t lanes = 4;

#if LS_VECTORS
typedef double vector __attribute__((vector_size(lanes * sizeof(double))));
typedef float narrow __attribute__((vector_size(lanes * sizeof(float))));
typedef double unaligned __attribute__((vector_size(lanes * sizeof(double)), aligned(sizeof(double)), may_alias));
typedef float unaligned_narrow __attribute__((vector_size(lanes * sizeof(float)), aligned(sizeof(float)), may_alias));

LS_INLINE void load(vector & v, const double * from) { v = *reinterpret_cast<const unaligned *>(from); }
LS_INLINE void load(vector & v, const float * from) {
    const narrow f = *reinterpret_cast<const unaligned_narrow *>(from);
    v = __builtin_convertvector(f, vector);
}
LS_INLINE void store(const vector & v, double * to) { *reinterpret_cast<unaligned *>(to) = v; }
LS_INLINE void store(const vector & v, float * to) {
    *reinterpret_cast<unaligned_narrow *>(to) = __builtin_convertvector(v, narrow);
}
LS_INLINE void subtract(vector & v, const vector & other) { v -= other; }
LS_INLINE void multiply(vector & v, double by) { v *= by; }
LS_INLINE void add_product(vector & sum, const vector & a, const vector & b) { sum += a * b; }
LS_INLINE void add_product(vector & sum, const vector & a, double b) { sum += a * b; }
LS_INLINE double total(const vector & v) { return (v[0] + v[2]) + (v[1] + v[3]); }
#else
struct vector {
    double lane[lanes];
};

template <typename element>
LS_INLINE void load(vector & v, const element * from) {
    for (std::size_t i = 0; i < lanes; i++) v.lane[i] = double(from[i]);
}
template <typename element>
LS_INLINE void store(const vector & v, element * to) {
    for (std::size_t i = 0; i < lanes; i++) to[i] = static_cast<element>(v.lane[i]);
}
LS_INLINE void multiply(vector & v, double by) {
    for (std::size_t i = 0; i < lanes; i++) v.lane[i] *= by;
}
LS_INLINE void subtract(vector & v, const vector & other) {
    for (std::size_t i = 0; i < lanes; i++) v.lane[i] -= other.lane[i];
}
LS_INLINE void add_product(vector & sum, const vector & a, const vector & b) {
    for (std::size_t i = 0; i < lanes; i++) sum.lane[i] += a.lane[i] * b.lane[i];
}
LS_INLINE void add_product(vector & sum, const vector & a, double b) {
    for (std::size_t i = 0; i < lanes; i++) sum.lane[i] += a.lane[i] * b;
}
LS_INLINE double total(const vector & v) { return (v.lane[0] + v.lane[2]) + (v.lane[1] + v.lane[3]); }
#endif

// Two sums for each row, so that an addition need not wait for the one before it.
template <std::size_t count, bool squared>
LS_INLINE void sum_rows(std::size_t cols, const float * const * rows, const double * mean, const double * p,
                        double * sums) {
    vector sum[count][2] = {};
    std::size_t j = 0;
    for (; j + 2 * lanes <= cols; j += 2 * lanes) {
        for (std::size_t half = 0; half < 2; half++) {
            const std::size_t at = j + half * lanes;
            vector m, other, x;
            load(m, mean + at);
            if (!squared) load(other, p + at);
            for (std::size_t r = 0; r < count; r++) {
                load(x, rows[r] + at);
                subtract(x, m);
                add_product(sum[r][half], x, squared ? x : other);
            }
        }
    }
    for (std::size_t r = 0; r < count; r++) {
        double rest = 0;
        for (std::size_t i = j; i < cols; i++) {
            const double x = double(rows[r][i]) - mean[i];
            rest += x * (squared ? x : p[i]);
        }
        sums[r] = total(sum[r][0]) + total(sum[r][1]) + rest;
    }
}

template <std::size_t count>
LS_INLINE void add_rows(std::size_t cols, const float * const * rows, const double * mean, const double * factors,
                        double * out) {
    std::size_t j = 0;
    for (; j + lanes <= cols; j += lanes) {
        vector m, sum, x;
        load(m, mean + j);
        load(sum, out + j);
        for (std::size_t r = 0; r < count; r++) {
            load(x, rows[r] + j);
            subtract(x, m);
            add_product(sum, x, factors[r]);
        }
        store(sum, out + j);
    }
    for (; j < cols; j++) {
        for (std::size_t r = 0; r < count; r++) out[j] += factors[r] * (double(rows[r][j]) - mean[j]);
    }
}

template <typename element>
LS_INLINE void write_row(std::size_t cols, const float * row, const double * mean, double factor, element * out) {
    std::size_t j = 0;
    for (; j + lanes <= cols; j += lanes) {
        vector m, x;
        load(m, mean + j);
        load(x, row + j);
        subtract(x, m);
        multiply(x, factor);
        store(x, out + j);
    }
    for (; j < cols; j++) out[j] = static_cast<element>((double(row[j]) - mean[j]) * factor);
}

// Full calls have a loop of their own; the rows left at an end go one by one.
#define LS_ROW_KERNEL(name, attribute)                                                                                 \
    attribute void dots_##name(std::size_t count, std::size_t cols, const float * const * rows, const double * mean,   \
                               const double * p, double * sums) {                                                      \
        if (count == kernel_rows) return sum_rows<kernel_rows, false>(cols, rows, mean, p, sums);                      \
        for (std::size_t r = 0; r < count; r++) sum_rows<1, false>(cols, rows + r, mean, p, sums + r);                 \
    }                                                                                                                  \
    attribute void squares_##name(std::size_t count, std::size_t cols, const float * const * rows,                     \
                                  const double * mean, double * sums) {                                                \
        if (count == kernel_rows) return sum_rows<kernel_rows, true>(cols, rows, mean, nullptr, sums);                 \
        for (std::size_t r = 0; r < count; r++) sum_rows<1, true>(cols, rows + r, mean, nullptr, sums + r);            \
    }                                                                                                                  \
    attribute void add_##name(std::size_t count, std::size_t cols, const float * const * rows, const double * mean,    \
                              const double * factors, double * out) {                                                  \
        if (count == kernel_rows) return add_rows<kernel_rows>(cols, rows, mean, factors, out);                        \
        for (std::size_t r = 0; r < count; r++) add_rows<1>(cols, rows + r, mean, factors + r, out);                   \
    }                                                                                                                  \
    attribute void write_##name(std::size_t cols, const float * row, const double * mean, double factor,               \
                                double * out) {                                                                        \
        write_row(cols, row, mean, factor, out);                                                                       \
    }                                                                                                                  \
    attribute void write_single_##name(std::size_t cols, const float * row, const double * mean, double factor,        \
                                       float * out) {                                                                  \
        write_row(cols, row, mean, factor, out);                                                                       \
    }                                                                                                                  \
    constexpr row_kernel row_kernel_##name{#name,      dots_##name,  squares_##name,                                   \
                                           add_##name, write_##name, write_single_##name};

LS_ROW_KERNEL(plain, )
#if LS_X86
LS_ROW_KERNEL(avx2, __attribute__((target("avx2,fma"))))
#endif

}  // namespace

const row_kernel & best_row_kernel() {
#if LS_X86
    static const bool avx2 = __builtin_cpu_supports("avx2") && __builtin_cpu_supports("fma");
    if (avx2) return row_kernel_avx2;
#endif
    return row_kernel_plain;
}

const row_kernel & plain_row_kernel() { return row_kernel_plain; }

}  // namespace llama_steer::ridge::builtin
