// Products with all rows. For few vectors the rows are read once, four at a time, by row_kernel's loops; for many they
// are converted chunk by chunk for the BLAS.

#include "ridge_rows.h"

#include "blas.h"
#include "builtin/row_kernel.h"
#include "parallel.h"

#include <algorithm>
#include <numeric>

namespace llama_steer::ridge {

namespace {

// As many vectors as these read the rows faster than a conversion for gemm would.
constexpr std::size_t few_vectors = 4;

using builtin::best_row_kernel;
using builtin::kernel_rows;

void clear(matrix_f64 out) {
    for (std::size_t t = 0; t < out.rows; t++) std::fill_n(out.row(t), out.cols, 0.0);
}

}  // namespace

/// Threads that share the rows of a pass: one for every 100 microseconds of it.
std::size_t ridge_rows::parts() const {
    constexpr std::size_t least = std::size_t(1) << 18;
    return std::clamp<std::size_t>(count() * cols() / least, 1, threads());
}

/// use(part, first, count, rows): up to kernel_rows rows as floats, `first` being the number of the first among the
/// active ones. The rows of a part come in order, on a thread of its own.
template <typename user>
void ridge_rows::each_few(std::size_t parts, const user & use) const {
    stop_if(aborted_);
    run_parallel(parts, [&](std::size_t part) {
        const std::size_t d = cols(), end = count() * (part + 1) / parts;
        std::vector<float> room(problem_.features.type == element_type::f32 ? 0 : kernel_rows * d);
        for (std::size_t i = count() * part / parts; i < end; i += kernel_rows) {
            const std::size_t some = std::min(kernel_rows, end - i);
            const float * rows[kernel_rows] = {};
            for (std::size_t r = 0; r < some; r++) {
                rows[r] = floats_of(problem_.features, active_[i + r], room.data() + (room.empty() ? 0 : r * d));
            }
            use(part, i, some, rows);
        }
    });
}

/// out [d] += sum over i of w_i (features of row i - origin), as the mean is found.
void ridge_rows::add_rows(const std::vector<double> & origin, std::vector<double> & out) const {
    const std::size_t shares = parts(), d = cols();
    std::vector<double> sums(shares * d, 0.0);
    each_few(shares, [&](std::size_t part, std::size_t first, std::size_t some, const float * const * rows) {
        best_row_kernel().add(some, d, rows, origin.data(), &weights_[first], &sums[part * d]);
    });
    for (std::size_t i = 0; i < sums.size(); i++) out[i % d] += sums[i];
}

/// Row t of out [any, d] = sum over i of (sign x_i^T p_t + c_ti) x_i, where p or c may have no rows, and c [k, n]
/// serves each group of k.
void ridge_rows::fold(double sign, const_matrix_f64 p, const_matrix_f64 c, matrix_f64 out) const {
    const std::size_t shares = parts(), size = out.rows * out.cols;
    std::vector<double> sums(shares * size, 0.0);
    const auto add = [&](std::size_t part, std::size_t first, std::size_t some, const float * const * rows) {
        for (std::size_t t = 0; t < out.rows; t++) {
            double factors[kernel_rows] = {};
            if (p.rows > 0) best_row_kernel().dots(some, cols(), rows, mean_.data(), p.row(t), factors);
            for (std::size_t r = 0; r < some; r++) {
                const double root = roots_[first + r], given = c.rows > 0 ? c(t % c.rows, first + r) : 0;
                factors[r] = root * (sign * root * factors[r] + given);
            }
            best_row_kernel().add(some, cols(), rows, mean_.data(), factors, &sums[part * size + t * out.cols]);
        }
    };
    each_few(shares, add);
    for (std::size_t t = 0; t < out.rows; t++) {
        std::copy_n(&sums[t * out.cols], out.cols, out.row(t));
        for (std::size_t part = 1; part < shares; part++) {
            const double * more = &sums[part * size + t * out.cols];
            for (std::size_t j = 0; j < out.cols; j++) out(t, j) += more[j];
        }
    }
}

void ridge_rows::multiply(const_matrix_f64 b, matrix_f64 out) const {
    if (b.rows <= few_vectors) {
        const auto dots = [&](std::size_t, std::size_t first, std::size_t some, const float * const * rows) {
            for (std::size_t t = 0; t < b.rows; t++) {
                double * to = out.row(t) + first;
                best_row_kernel().dots(some, cols(), rows, mean_.data(), b.row(t), to);
                for (std::size_t r = 0; r < some; r++) to[r] *= roots_[first + r];
            }
        };
        return each_few(parts(), dots);
    }
    each_chunk([&](std::size_t first, const_matrix_f64 x) {
        gemm(1, b, transpose::no, x, transpose::yes, 0, out.block(0, first, b.rows, x.rows));
    });
}

void ridge_rows::multiply_transposed(const_matrix_f64 c, matrix_f64 out) const {
    if (c.rows <= few_vectors) return fold(0, {}, c, out);
    clear(out);
    each_chunk([&](std::size_t first, const_matrix_f64 x) {
        gemm(1, c.block(0, first, c.rows, x.rows), transpose::no, x, transpose::no, 1, out);
    });
}

void ridge_rows::multiply_gram(const_matrix_f64 p, matrix_f64 out) const { fold(1, p, {}, out); }

void ridge_rows::normal_residual(const_matrix_f64 b, matrix_f64 out) const {
    if (b.rows <= few_vectors) return fold(-1, b, y(), out);
    const std::size_t k = b.rows;
    clear(out);
    std::vector<double> error;
    each_chunk([&](std::size_t first, const_matrix_f64 x) {
        error.resize(k * x.rows);
        const matrix_f64 e(error.data(), k, x.rows);
        for (std::size_t t = 0; t < k; t++) std::copy_n(y().row(t % targets()) + first, x.rows, e.row(t));
        gemm(-1, b, transpose::no, x, transpose::yes, 1, e);
        gemm(1, e, transpose::no, x, transpose::no, 1, out);
    });
}

double ridge_rows::trace() const {
    if (trace_ >= 0) return trace_;
    const std::size_t shares = parts();
    std::vector<double> sums(shares, 0.0);
    each_few(shares, [&](std::size_t part, std::size_t first, std::size_t some, const float * const * rows) {
        double squares[kernel_rows] = {};
        best_row_kernel().squares(some, cols(), rows, mean_.data(), squares);
        for (std::size_t r = 0; r < some; r++) sums[part] += weights_[first + r] * squares[r];
    });
    trace_ = std::accumulate(sums.begin(), sums.end(), 0.0);
    return trace_;
}

}  // namespace llama_steer::ridge
