// What the comparison methods and the rules for lambda should give, as plainly as it can be written: all pairs of rows,
// Jacobi rotations, Gauss elimination, a refit for every row left out.
#pragma once

#include "ridge_direction_reference.h"

#include <algorithm>
#include <cmath>
#include <utility>
#include <vector>

namespace llama_steer::reference {

struct labelled {
    std::vector<std::vector<double>> refusing, complying;  ///< rows
    std::vector<double> refusing_weights, complying_weights;
};

inline labelled labelled_rows(const sample & s, double threshold, bool weighted) {
    labelled out;
    for (std::size_t i = 0; i < s.n; i++) {
        if (std::fabs(s.scores[i]) <= threshold) continue;
        const std::vector<double> row(s.x.begin() + std::ptrdiff_t(i * s.d),
                                      s.x.begin() + std::ptrdiff_t((i + 1) * s.d));
        const double weight = weighted ? std::fabs(s.scores[i]) : 1;
        (s.scores[i] > 0 ? out.refusing : out.complying).push_back(row);
        (s.scores[i] > 0 ? out.refusing_weights : out.complying_weights).push_back(weight);
    }
    return out;
}

/// Eigenvector of the largest eigenvalue, by cyclic Jacobi rotations.
inline std::vector<double> first_eigenvector(matrix a) {
    const std::size_t n = a.rows;
    matrix v(n, n);
    for (std::size_t i = 0; i < n; i++) v(i, i) = 1;
    for (int sweep = 0; sweep < 60; sweep++) {
        for (std::size_t p = 0; p < n; p++) {
            for (std::size_t q = p + 1; q < n; q++) {
                if (std::fabs(a(p, q)) < 1e-300) continue;
                const double angle = 0.5 * std::atan2(2 * a(p, q), a(q, q) - a(p, p));
                const double c = std::cos(angle), s = std::sin(angle);
                for (std::size_t k = 0; k < n; k++) {
                    const double x = a(k, p), y = a(k, q);
                    a(k, p) = c * x - s * y;
                    a(k, q) = s * x + c * y;
                }
                for (std::size_t k = 0; k < n; k++) {
                    const double x = a(p, k), y = a(q, k);
                    a(p, k) = c * x - s * y;
                    a(q, k) = s * x + c * y;
                }
                for (std::size_t k = 0; k < n; k++) {
                    const double x = v(k, p), y = v(k, q);
                    v(k, p) = c * x - s * y;
                    v(k, q) = s * x + c * y;
                }
            }
        }
    }
    std::size_t best = 0;
    for (std::size_t i = 1; i < n; i++) {
        if (a(i, i) > a(best, best)) best = i;
    }
    std::vector<double> out(n);
    for (std::size_t k = 0; k < n; k++) out[k] = v(k, best);
    return out;
}

inline std::vector<double> unit(std::vector<double> v) {
    const double length = std::sqrt(dot(v, v));
    for (auto & value : v) value /= length;
    return v;
}

/// The first principal component of x_r - x_c over all pairs, with the component along `without` taken from every one.
inline std::vector<double> pairs_component(const labelled & rows, std::size_t d, const std::vector<double> & without) {
    matrix second(d, d);
    std::vector<double> mean(d);
    for (std::size_t r = 0; r < rows.refusing.size(); r++) {
        for (std::size_t c = 0; c < rows.complying.size(); c++) {
            const double weight = rows.refusing_weights[r] * rows.complying_weights[c];
            std::vector<double> pair(d);
            for (std::size_t j = 0; j < d; j++) pair[j] = rows.refusing[r][j] - rows.complying[c][j];
            if (!without.empty()) {
                const double share = dot(pair, without) / dot(without, without);
                for (std::size_t j = 0; j < d; j++) pair[j] -= share * without[j];
            }
            for (std::size_t a = 0; a < d; a++) {
                mean[a] += weight * pair[a];
                for (std::size_t b = 0; b < d; b++) second(a, b) += weight * pair[a] * pair[b];
            }
        }
    }
    auto v = first_eigenvector(second);
    if (dot(v, mean) < 0) {
        for (auto & value : v) value = -value;
    }
    return v;
}

struct regression {
    std::vector<double> v;
    double b = 0;
};

/// Least squares of y on rows with weights (as given), an intercept, and penalty * |v|^2, by the augmented normal
/// equations.
inline regression ridge_regression(const std::vector<std::vector<double>> & rows, const std::vector<double> & y,
                                   const std::vector<double> & w, double penalty) {
    const std::size_t d = rows.front().size();
    matrix a(d + 1, d + 1);
    std::vector<double> right(d + 1);
    for (std::size_t i = 0; i < rows.size(); i++) {
        auto row = rows[i];
        row.push_back(1);
        for (std::size_t p = 0; p <= d; p++) {
            right[p] += w[i] * row[p] * y[i];
            for (std::size_t q = 0; q <= d; q++) a(p, q) += w[i] * row[p] * row[q];
        }
    }
    for (std::size_t p = 0; p < d; p++) a(p, p) += penalty;
    auto solved = solve(a, right);
    const double b = solved.back();
    solved.pop_back();
    return {solved, b};
}

/// Sum of w_i e_i^2, e_i the error at row i of the regression on all others.
inline double refit_error(const std::vector<std::vector<double>> & rows, const std::vector<double> & y,
                          const std::vector<double> & w, double penalty) {
    double sum = 0;
    for (std::size_t i = 0; i < rows.size(); i++) {
        auto without = w;
        without[i] = 0;
        const auto fit = ridge_regression(rows, y, without, penalty);
        const double error = y[i] - dot(fit.v, rows[i]) - fit.b;
        sum += w[i] * error * error;
    }
    return sum;
}

/// Numbers that arithmetic on indices gives, exact in float32: the same table in any language, so that values computed
/// elsewhere can be stored beside it. Scores alternate in sign.
inline sample arithmetic_sample(std::size_t n, std::size_t d, std::size_t modulus) {
    sample s{n, d, std::vector<float>(n * d), {}};
    for (std::size_t i = 0; i < n; i++) {
        for (std::size_t j = 0; j < d; j++) {
            const double value = double((i * i * 7 + j * j * j * 5 + i * j * 3 + 11 * i + 13 * j) % modulus) / 8;
            const double apart = i % 2 && j % 3 == 0 ? 2 : 0;
            const double common = j < 3 ? 3 * double((i * 5) % 7) : 0;
            s.x[i * d + j] = static_cast<float>(double(1 + j % 4) * (value - apart) + common);
        }
        s.scores.push_back((i % 2 ? 1 : -1) * (0.2 + 0.05 * double((i * 7) % 16)));
    }
    return s;
}

}  // namespace llama_steer::reference
