// Plain float64 references for the ridge tests, written to be read rather than to be fast, and sharing nothing with the
// library.
#pragma once

#include <cmath>
#include <cstddef>
#include <random>
#include <utility>
#include <vector>

namespace llama_steer::reference {

/// Row-major rows x cols.
struct matrix {
    std::size_t rows = 0, cols = 0;
    std::vector<double> data;

    matrix(std::size_t r, std::size_t c) : rows(r), cols(c), data(r * c) {}
    double & operator()(std::size_t i, std::size_t j) { return data[i * cols + j]; }
    double operator()(std::size_t i, std::size_t j) const { return data[i * cols + j]; }
};

inline matrix transposed(const matrix & a) {
    matrix t(a.cols, a.rows);
    for (std::size_t i = 0; i < a.rows; i++) {
        for (std::size_t j = 0; j < a.cols; j++) t(j, i) = a(i, j);
    }
    return t;
}

inline matrix multiply(const matrix & a, const matrix & b) {
    matrix c(a.rows, b.cols);
    for (std::size_t i = 0; i < a.rows; i++) {
        for (std::size_t k = 0; k < a.cols; k++) {
            for (std::size_t j = 0; j < b.cols; j++) c(i, j) += a(i, k) * b(k, j);
        }
    }
    return c;
}

/// Gauss elimination with partial pivoting.
inline std::vector<double> solve(matrix a, std::vector<double> b) {
    const std::size_t n = a.rows;
    for (std::size_t k = 0; k < n; k++) {
        std::size_t pivot = k;
        for (std::size_t i = k + 1; i < n; i++) {
            if (std::fabs(a(i, k)) > std::fabs(a(pivot, k))) pivot = i;
        }
        for (std::size_t j = 0; j < n; j++) std::swap(a(k, j), a(pivot, j));
        std::swap(b[k], b[pivot]);
        for (std::size_t i = k + 1; i < n; i++) {
            const double factor = a(i, k) / a(k, k);
            for (std::size_t j = k; j < n; j++) a(i, j) -= factor * a(k, j);
            b[i] -= factor * b[k];
        }
    }
    for (std::size_t i = n; i-- > 0;) {
        for (std::size_t j = i + 1; j < n; j++) b[i] -= a(i, j) * b[j];
        b[i] /= a(i, i);
    }
    return b;
}

/// Standard normal numbers, the same on every platform (std::normal_distribution is not).
class gaussian {
public:
    explicit gaussian(unsigned seed) : bits_(seed) {}

    double uniform() { return (double(bits_()) + 0.5) / 4294967296.0; }
    double operator()() {
        const double radius = std::sqrt(-2 * std::log(uniform()));
        return radius * std::cos(6.283185307179586 * uniform());
    }

private:
    std::mt19937 bits_;
};

inline matrix random_matrix(std::size_t rows, std::size_t cols, unsigned seed) {
    gaussian next(seed);
    matrix a(rows, cols);
    for (auto & value : a.data) value = next();
    return a;
}

inline double max_difference(const std::vector<double> & a, const std::vector<double> & b) {
    double worst = a.size() == b.size() ? 0 : INFINITY;
    for (std::size_t i = 0; i < a.size() && i < b.size(); i++) {
        const double d = std::fabs(a[i] - b[i]);
        if (!(d <= worst)) worst = d;
    }
    return worst;
}

}  // namespace llama_steer::reference
