// Rows that a fit works on, and the basis of what they span.
#pragma once

#include "matrix_view.h"

#include <cstddef>
#include <vector>

namespace llama_steer::ridge {

/// A view of rows stored as float32 (as captured) or as float64 (coordinates); owns nothing. What takes one takes a
/// matrix_view as well.
struct row_set {
    matrix_view floats;
    const_matrix_f64 doubles;  ///< used where it has data

    row_set() = default;
    row_set(const matrix_view & view) : floats(view) {}
    row_set(const const_matrix_f64 & view) : doubles(view) {}

    std::size_t rows() const { return doubles.data ? doubles.rows : floats.rows; }
    std::size_t cols() const { return doubles.data ? doubles.cols : floats.cols; }

    /// Row i to out [cols].
    void read(std::size_t i, double * out) const;
};

/// An orthonormal basis of the differences of some rows: with fewer rows than dimensions every direction that is a
/// linear combination of them, every covariance and every cosine are the same in its coordinates, and far smaller.
class row_basis {
public:
    /// Takes the rows added in order, less the first of them. Gram-Schmidt, twice for each row, so that the basis is
    /// orthonormal to rounding; a row that depends on earlier ones to within 1e-12 of its length adds nothing.
    explicit row_basis(std::size_t cols, std::size_t most) : cols_(cols), most_(most) { vectors_.reserve(cols * most); }

    void add(const matrix_view & view, const std::vector<std::size_t> & rows);

    std::size_t size() const { return vectors_.size() / cols_; }
    const std::vector<double> & origin() const { return origin_; }

    /// Coordinates [view.rows][size()] of every row less the origin.
    std::vector<double> coordinates(const matrix_view & view) const;

    /// The vector [cols] with these coordinates.
    std::vector<double> expand(const std::vector<double> & coordinates) const;

private:
    void read(const matrix_view & view, std::size_t i, std::vector<double> & out) const;
    const_matrix_f64 matrix() const { return {vectors_.data(), size(), cols_}; }

    std::size_t cols_, most_;
    std::vector<double> origin_, vectors_;
};

}  // namespace llama_steer::ridge
