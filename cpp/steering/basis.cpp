#include "steering/basis.h"

#include <algorithm>
#include <cmath>
#include <numeric>

namespace llama_steer {

namespace {

constexpr double dependent = 1e-6;

using row = std::vector<double>;

double dot(const row & a, const row & b) { return std::inner_product(a.begin(), a.end(), b.begin(), 0.0); }

void add_scaled(row & to, double factor, const row & from) {
    for (size_t i = 0; i < to.size(); ++i) {
        to[i] += factor * from[i];
    }
}

void scale(row & to, double factor) {
    for (double & value : to) {
        value *= factor;
    }
}

}  // namespace

void basis::push(const float * from) { rows_.emplace_back(from, from + width_); }

bool basis::normalize() {
    bool all = true;
    for (size_t i = 0; i < rows_.size(); ++i) {
        all = scale_to(i, 1.0) && all;
    }
    return all;
}

bool basis::scale_to(size_t index, double length) {
    const double norm = std::sqrt(dot(rows_[index], rows_[index]));
    if (norm == 0) {
        return false;
    }
    scale(rows_[index], length / norm);
    return true;
}

void basis::sum() {
    for (size_t i = 1; i < rows_.size(); ++i) {
        add_scaled(rows_.front(), 1.0, rows_[i]);
    }
    rows_.resize(1);
}

void basis::orthonormalize() {
    std::vector<row> kept;
    for (row & each : rows_) {
        const double before = std::sqrt(dot(each, each));
        for (int pass = 0; pass < 2; ++pass) {
            for (const row & other : kept) {
                add_scaled(each, -dot(each, other), other);
            }
        }
        const double after = std::sqrt(dot(each, each));
        if (after > dependent * before) {
            scale(each, 1.0 / after);
            kept.push_back(std::move(each));
        }
    }
    rows_ = std::move(kept);
}

bool basis::make_dual() {
    // With the rows of V = L Q (Q orthonormal, L lower triangular), D = L⁻ᵀ Q: solved from the last row up.
    const std::vector<row> original = rows_;
    orthonormalize();
    const size_t n = original.size();
    if (rows_.size() != n) {
        return false;
    }
    const std::vector<row> q = rows_;
    for (size_t i = n; i-- > 0;) {
        row made = q[i];
        for (size_t j = i + 1; j < n; ++j) {
            add_scaled(made, -dot(original[j], q[i]), rows_[j]);
        }
        scale(made, 1.0 / dot(original[i], q[i]));
        rows_[i] = std::move(made);
    }
    return true;
}

void basis::write(float * to) const {
    for (const row & each : rows_) {
        to = std::transform(each.begin(), each.end(), to, [](double value) { return static_cast<float>(value); });
    }
}

}  // namespace llama_steer
