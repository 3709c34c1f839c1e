// What interventions and conditions do, from the formulas alone and in float64: the reference for the kernels. Spans
// and constraints are solved by normal equations, which the library does not use.
#pragma once

#include "steering/condition.h"
#include "steering/operation.h"

#include <algorithm>
#include <cmath>
#include <cstdint>
#include <utility>
#include <vector>

namespace llama_steer::formulas {

using row = std::vector<double>;

inline row row_of(const float * data, size_t width) { return {data, data + width}; }

inline double product(const row & a, const row & b) {
    double sum = 0;
    for (size_t i = 0; i < a.size(); ++i) {
        sum += a[i] * b[i];
    }
    return sum;
}

inline double norm(const row & a) { return std::sqrt(product(a, a)); }

inline row plus(row a, double factor, const row & b) {
    for (size_t i = 0; i < a.size(); ++i) {
        a[i] += factor * b[i];
    }
    return a;
}

inline row times(double factor, row a) {
    for (double & value : a) {
        value *= factor;
    }
    return a;
}

inline row unit(const row & a) { return times(1 / norm(a), a); }

/// |a - b| / |b|.
inline double relative_distance(const row & a, const row & b) { return norm(plus(a, -1, b)) / norm(b); }

/// x with A x = b, by elimination with pivoting.
inline row solve(std::vector<row> a, row b) {
    const size_t n = b.size();
    for (size_t k = 0; k < n; ++k) {
        size_t pivot = k;
        for (size_t i = k + 1; i < n; ++i) {
            pivot = std::fabs(a[i][k]) > std::fabs(a[pivot][k]) ? i : pivot;
        }
        std::swap(a[k], a[pivot]);
        std::swap(b[k], b[pivot]);
        for (size_t i = k + 1; i < n; ++i) {
            const double factor = a[i][k] / a[k][k];
            a[i] = plus(a[i], -factor, a[k]);
            b[i] -= factor * b[k];
        }
    }
    for (size_t k = n; k-- > 0;) {
        for (size_t i = k + 1; i < n; ++i) {
            b[k] -= a[k][i] * b[i];
        }
        b[k] /= a[k][k];
    }
    return b;
}

/// V (VᵀV)⁻¹ y: the smallest vector whose products with the columns of V are y.
inline row smallest_with_products(const std::vector<row> & v, const row & y) {
    std::vector<row> gram;
    for (const row & each : v) {
        gram.emplace_back();
        for (const row & other : v) {
            gram.back().push_back(product(each, other));
        }
    }
    const row weights = solve(gram, y);
    row made(v.front().size(), 0.0);
    for (size_t i = 0; i < v.size(); ++i) {
        made = plus(std::move(made), weights[i], v[i]);
    }
    return made;
}

/// An intervention at one layer, in numbers.
struct action {
    operation kind = operation::add;
    std::vector<row> vectors;
    std::vector<row> up;  ///< of affine
    row bias;             ///< of affine; empty: none
    double strength = 1;
    double low = 0;
    double high = 0;
    std::vector<double> norms;  ///< mean norm of the layer's rows, by vector; empty: raw units
    bool keep_norm = false;
};

inline row added(const action & a, row h) {
    for (size_t i = 0; i < a.vectors.size(); ++i) {
        h = plus(std::move(h), a.strength, a.norms.empty() ? a.vectors[i] : times(a.norms[i], unit(a.vectors[i])));
    }
    return h;
}

inline row ablated(const action & a, const row & h) {
    row products;
    for (const row & v : a.vectors) {
        products.push_back(product(v, h));
    }
    return plus(h, -a.strength, smallest_with_products(a.vectors, products));
}

inline row bounded(const action & a, const row & h) {
    const double one = a.norms.empty() ? 1.0 : a.norms.front();
    std::vector<row> units;
    row moves;
    for (const row & v : a.vectors) {
        units.push_back(unit(v));
        const double found = product(units.back(), h);
        moves.push_back(a.strength * (std::min(std::max(found, one * a.low), one * a.high) - found));
    }
    return plus(h, 1, smallest_with_products(units, moves));
}

inline row mapped(const action & a, const row & h) {
    row result = h;
    for (size_t i = 0; i < a.vectors.size(); ++i) {
        result = plus(std::move(result), a.strength * product(a.vectors[i], h), a.up[i]);
    }
    return a.bias.empty() ? result : plus(std::move(result), a.strength, a.bias);
}

inline row rotated(const action & a, const row & h) {
    const row first = unit(a.vectors[0]);
    const row second = unit(plus(a.vectors[1], -product(a.vectors[1], first), first));
    const double x = product(first, h);
    const double y = product(second, h);
    const row outside = plus(plus(h, -x, first), -y, second);
    const double c = std::cos(a.strength);
    const double s = std::sin(a.strength);
    return plus(plus(outside, c * x - s * y, first), s * x + c * y, second);
}

inline row changed(const action & a, const row & h) {
    switch (a.kind) {
        case operation::add:
            return added(a, h);
        case operation::ablate:
            return ablated(a, h);
        case operation::clamp:
        case operation::set:
        case operation::track:
            return bounded(a, h);
        case operation::affine:
            return mapped(a, h);
        case operation::rotate:
            return rotated(a, h);
        case operation::observe:
            break;
    }
    return h;
}

/// What is to come of the row h.
inline row apply(const action & a, const row & h) {
    const row result = changed(a, h);
    return a.keep_norm ? times(norm(h) / norm(result), result) : result;
}

/// What a condition measures of the row h along c.
inline double measure(condition_measure kind, const row & c, const row & h) {
    const double along = product(unit(c), h);
    return kind == condition_measure::projection ? along : along / norm(h);
}

}  // namespace llama_steer::formulas
