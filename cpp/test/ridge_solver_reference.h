// Ridge regression from its definition, for the solver's tests: the penalised normal equations of [x, 1] in long
// double, by Gauss elimination. Nothing is centred, and nothing shared with the library.
#pragma once

#include "ridge/ridge_solver.h"
#include "ridge_reference.h"

#include <cmath>
#include <cstddef>
#include <vector>

namespace llama_steer::reference {

struct ridge_sample {
    std::size_t n = 0, d = 0, k = 1;
    std::vector<float> x;         ///< [n, d]
    std::vector<double> y;        ///< [n, k]
    std::vector<double> weights;  ///< [n], or empty: all 1
    bool intercept = true;

    double weight(std::size_t i) const { return weights.empty() ? 1 : weights[i]; }

    ridge::ridge_problem problem() const {
        ridge::ridge_problem p;
        p.features = {x.data(), element_type::f32, n, d, d, 0};
        p.targets = y.data();
        p.target_count = k;
        p.weights = weights.empty() ? nullptr : weights.data();
        p.intercept = intercept;
        return p;
    }

    ridge_sample without(std::size_t row) const {
        ridge_sample out = *this;
        if (out.weights.empty()) out.weights.assign(n, 1.0);
        out.weights[row] = 0;
        return out;
    }
};

/// Correlated features far from 0, targets that depend on them; weights with zeros where `weighted`.
inline ridge_sample random_problem(std::size_t n, std::size_t d, std::size_t k, unsigned seed, bool weighted,
                                   bool intercept = true) {
    gaussian next(seed);
    ridge_sample s;
    s.n = n;
    s.d = d;
    s.k = k;
    s.intercept = intercept;
    std::vector<double> truth(d * k);
    for (auto & value : truth) value = next();
    for (std::size_t i = 0; i < n; i++) {
        const double common = next();
        for (std::size_t j = 0; j < d; j++) {
            s.x.push_back(static_cast<float>(2 + next() + common * (0.5 + double(j % 3))));
        }
        for (std::size_t t = 0; t < k; t++) {
            double y = 5 + next();
            for (std::size_t j = 0; j < d; j++) y += s.x[i * d + j] * truth[t * d + j] / double(d);
            s.y.push_back(y);
        }
        if (weighted) s.weights.push_back(i % 4 == 3 ? 0 : 0.2 + next.uniform());
    }
    return s;
}

/// [unknown], the coefficients and, with an intercept, a last one for it.
using wide_vector = std::vector<long double>;

inline std::vector<wide_vector> solve_wide(std::vector<wide_vector> a, std::vector<wide_vector> b) {
    const std::size_t n = a.size();
    for (std::size_t c = 0; c < n; c++) {
        std::size_t pivot = c;
        for (std::size_t i = c + 1; i < n; i++) {
            if (std::fabs(a[i][c]) > std::fabs(a[pivot][c])) pivot = i;
        }
        std::swap(a[c], a[pivot]);
        std::swap(b[c], b[pivot]);
        for (std::size_t i = 0; i < n; i++) {
            if (i == c || a[i][c] == 0) continue;
            const long double factor = a[i][c] / a[c][c];
            for (std::size_t j = c; j < n; j++) a[i][j] -= factor * a[c][j];
            for (std::size_t t = 0; t < b[i].size(); t++) b[i][t] -= factor * b[c][t];
        }
    }
    for (std::size_t i = 0; i < n; i++) {
        for (auto & value : b[i]) value /= a[i][i];
    }
    return b;
}

inline wide_vector extended_row(const ridge_sample & s, std::size_t i) {
    wide_vector row(&s.x[i * s.d], &s.x[i * s.d] + s.d);
    if (s.intercept) row.push_back(1);
    return row;
}

inline std::vector<wide_vector> penalised_gram(const ridge_sample & s, double alpha) {
    const std::size_t m = s.d + s.intercept;
    std::vector<wide_vector> a(m, wide_vector(m, 0));
    for (std::size_t i = 0; i < s.n; i++) {
        const wide_vector row = extended_row(s, i);
        for (std::size_t p = 0; p < m; p++) {
            for (std::size_t q = 0; q < m; q++) a[p][q] += s.weight(i) * row[p] * row[q];
        }
    }
    for (std::size_t j = 0; j < s.d; j++) a[j][j] += alpha;
    return a;
}

/// [d + 1 with intercept][k]
inline std::vector<wide_vector> ridge(const ridge_sample & s, double alpha) {
    const std::size_t m = s.d + s.intercept;
    std::vector<wide_vector> b(m, wide_vector(s.k, 0));
    for (std::size_t i = 0; i < s.n; i++) {
        const wide_vector row = extended_row(s, i);
        for (std::size_t p = 0; p < m; p++) {
            for (std::size_t t = 0; t < s.k; t++) b[p][t] += s.weight(i) * row[p] * s.y[i * s.k + t];
        }
    }
    return solve_wide(penalised_gram(s, alpha), b);
}

inline double predicted(const ridge_sample & s, const std::vector<wide_vector> & fit, std::size_t i, std::size_t t) {
    const wide_vector row = extended_row(s, i);
    long double sum = 0;
    for (std::size_t p = 0; p < row.size(); p++) sum += row[p] * fit[p][t];
    return double(sum);
}

/// [k]: every row predicted by a fit of its own, without it.
inline std::vector<double> left_out_error(const ridge_sample & s, double alpha) {
    std::vector<double> sums(s.k);
    double total = 0;
    for (std::size_t i = 0; i < s.n; i++) {
        if (s.weight(i) == 0) continue;
        const auto fit = ridge(s.without(i), alpha);
        for (std::size_t t = 0; t < s.k; t++) {
            const double error = s.y[i * s.k + t] - predicted(s, fit, i, t);
            sums[t] += s.weight(i) * error * error;
        }
        total += s.weight(i);
    }
    for (auto & sum : sums) sum /= total;
    return sums;
}

/// tr of the matrix that makes predictions of targets, by its diagonal.
inline double freedom(const ridge_sample & s, double alpha) {
    const std::size_t m = s.d + s.intercept;
    std::vector<wide_vector> sides(m, wide_vector(s.n));
    for (std::size_t i = 0; i < s.n; i++) {
        const wide_vector row = extended_row(s, i);
        for (std::size_t p = 0; p < m; p++) sides[p][i] = s.weight(i) * row[p];
    }
    const auto solved = solve_wide(penalised_gram(s, alpha), sides);
    long double trace = 0;
    for (std::size_t i = 0; i < s.n; i++) {
        const wide_vector row = extended_row(s, i);
        for (std::size_t p = 0; p < m; p++) trace += row[p] * solved[p][i];
    }
    return double(trace);
}

/// tr(G) / d, the unit of relative lambdas.
inline double mean_eigenvalue(const ridge_sample & s) {
    long double total = 0, trace = 0;
    for (std::size_t i = 0; i < s.n; i++) total += s.weight(i);
    for (std::size_t j = 0; j < s.d; j++) {
        long double mean = 0;
        for (std::size_t i = 0; s.intercept && i < s.n; i++) mean += s.weight(i) * s.x[i * s.d + j] / total;
        for (std::size_t i = 0; i < s.n; i++) {
            trace += s.weight(i) * (s.x[i * s.d + j] - mean) * (s.x[i * s.d + j] - mean);
        }
    }
    return double(trace / s.d);
}

/// |a - b| / |b| of coefficients [k, d] against a reference.
inline double coefficient_error(const ridge_sample & s, const std::vector<double> & got,
                                const std::vector<wide_vector> & expected) {
    if (got.size() != s.k * s.d) return INFINITY;
    double difference = 0, size = 0;
    for (std::size_t t = 0; t < s.k; t++) {
        for (std::size_t j = 0; j < s.d; j++) {
            const double value = double(expected[j][t]);
            difference += (got[t * s.d + j] - value) * (got[t * s.d + j] - value);
            size += value * value;
        }
    }
    return std::sqrt(difference / size);
}

}  // namespace llama_steer::reference
