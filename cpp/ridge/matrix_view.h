// Views of row-major matrices. A view owns nothing and checks nothing: the memory must outlive it, and whoever takes a
// view from outside checks it with check_view first.
#pragma once

#include <cstddef>
#include <type_traits>

namespace llama_steer::ridge {

/// rows x cols elements; element (i, j) lies at data[i * row_stride + j], so row_stride >= cols (counted in elements).
template <typename T>
struct basic_matrix_view {
    T * data = nullptr;
    std::size_t rows = 0;
    std::size_t cols = 0;
    std::size_t row_stride = 0;

    basic_matrix_view() = default;
    basic_matrix_view(T * data_, std::size_t rows_, std::size_t cols_)
        : basic_matrix_view(data_, rows_, cols_, cols_) {}
    basic_matrix_view(T * data_, std::size_t rows_, std::size_t cols_, std::size_t row_stride_)
        : data(data_), rows(rows_), cols(cols_), row_stride(row_stride_) {}

    /// A view to write through serves wherever one to read from is asked for.
    template <typename U, typename = std::enable_if_t<std::is_same_v<const U, T> && !std::is_const_v<U>>>
    basic_matrix_view(const basic_matrix_view<U> & other)
        : data(other.data), rows(other.rows), cols(other.cols), row_stride(other.row_stride) {}

    T * row(std::size_t i) const { return data + i * row_stride; }
    T & operator()(std::size_t i, std::size_t j) const { return data[i * row_stride + j]; }

    basic_matrix_view block(std::size_t i, std::size_t j, std::size_t block_rows, std::size_t block_cols) const {
        return {data + i * row_stride + j, block_rows, block_cols, row_stride};
    }
};

/// Features: one sample a row, float32, as captured.
using matrix_view = basic_matrix_view<const float>;

/// What the solver computes with.
using const_matrix_f64 = basic_matrix_view<const double>;
using matrix_f64 = basic_matrix_view<double>;

/// Throws INVALID_ARGUMENT when there are no rows or columns, no data, or a stride shorter than a row. `name` is what
/// the message calls the matrix.
void check_view(const matrix_view & view, const char * name);

}  // namespace llama_steer::ridge
