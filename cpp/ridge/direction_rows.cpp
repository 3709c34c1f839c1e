#include "direction_rows.h"

#include "blas.h"
#include "builtin/builtin.h"

#include <algorithm>
#include <cmath>

namespace llama_steer::ridge {

namespace {

// What a row keeps of its length when it depends on others, by rounding alone.
constexpr double dependent = 1e-12;

}  // namespace

void row_set::read(std::size_t i, double * out) const {
    if (doubles.data) {
        std::copy_n(doubles.row(i), doubles.cols, out);
    } else {
        std::copy_n(floats.row(i), floats.cols, out);
    }
}

void row_basis::read(const matrix_view & view, std::size_t i, std::vector<double> & out) const {
    const float * row = view.row(i);
    for (std::size_t j = 0; j < cols_; j++) out[j] = double(row[j]) - origin_[j];
}

void row_basis::add(const matrix_view & view, const std::vector<std::size_t> & rows) {
    std::vector<double> row(cols_), shares(most_);
    for (const std::size_t i : rows) {
        if (origin_.empty()) origin_.assign(view.row(i), view.row(i) + cols_);
        read(view, i, row);
        const double length = std::sqrt(builtin::dot(cols_, row.data(), row.data()));
        if (length == 0 || size() == std::min(most_, cols_)) continue;
        for (int pass = 0; pass < 2 && size() > 0; pass++) {
            gemv(1, matrix(), transpose::no, row.data(), 0, shares.data());
            gemv(-1, matrix(), transpose::yes, shares.data(), 1, row.data());
        }
        const double left = std::sqrt(builtin::dot(cols_, row.data(), row.data()));
        if (left <= dependent * length) continue;
        for (const double value : row) vectors_.push_back(value / left);
    }
}

std::vector<double> row_basis::coordinates(const matrix_view & view) const {
    std::vector<double> out(view.rows * size()), row(cols_);
    for (std::size_t i = 0; i < view.rows; i++) {
        read(view, i, row);
        gemv(1, matrix(), transpose::no, row.data(), 0, out.data() + i * size());
    }
    return out;
}

std::vector<double> row_basis::expand(const std::vector<double> & coordinates) const {
    std::vector<double> out(cols_);
    gemv(1, matrix(), transpose::yes, coordinates.data(), 0, out.data());
    return out;
}

}  // namespace llama_steer::ridge
