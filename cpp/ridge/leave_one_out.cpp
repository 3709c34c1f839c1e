#include "leave_one_out.h"

#include "blas.h"
#include "builtin/builtin.h"

#include <algorithm>
#include <limits>

namespace llama_steer::ridge {

namespace {

// A share of a row that is left to others below this is rounding.
constexpr double nothing_left = 64 * std::numeric_limits<double>::epsilon();

template <typename real>
void measure_primal(const ridge_rows & rows, const ridge_factor<real> & factor, const_matrix_f64 b, quality_sum & sum) {
    std::vector<double> error;
    rows.each_chunk([&](std::size_t first, matrix_f64 x) {
        error.resize(b.rows * x.rows);
        const matrix_f64 e(error.data(), b.rows, x.rows);
        for (std::size_t t = 0; t < b.rows; t++) std::copy_n(rows.y().row(t) + first, x.rows, e.row(t));
        gemm(-1, b, transpose::no, x, transpose::yes, 1, e);
        factor.whiten(x, 0);
        for (std::size_t i = 0; i < x.rows; i++) {
            sum.add(first + i, builtin::dot(x.cols, x.row(i), x.row(i)), error.data() + i, x.rows);
        }
    });
}

// (L L^T)^-1_ii = |L^-1 e_i|^2, and L^-1 e_i is 0 before i.
template <typename real>
void measure_dual(const ridge_rows & rows, const ridge_factor<real> & factor, const_matrix_f64 c, quality_sum & sum) {
    constexpr std::size_t block = 256;
    const std::size_t n = rows.count();
    std::vector<double> room;
    for (std::size_t from = 0; from < n; from += block) {
        stop_if(rows.aborted());
        const std::size_t count = std::min(block, n - from), width = n - from;
        room.assign(count * width, 0.0);
        for (std::size_t i = 0; i < count; i++) room[i * width + i] = 1;
        factor.whiten({room.data(), count, width}, from);
        for (std::size_t i = 0; i < count; i++) {
            const double * row = &room[i * width];
            sum.add(from + i, builtin::dot(width, row, row), c.data + from + i, n);
        }
    }
}

}  // namespace

quality_sum::quality_sum(const ridge_rows & rows, ridge_form form, double alpha, double gamma)
    : rows_(rows),
      form_(form),
      alpha_(alpha),
      gamma_(gamma),
      freedom_(form == ridge_form::dual ? double(rows.count())
               : rows.intercept()       ? 1
                                        : 0),
      squares_(rows.targets(), 0.0) {}

void quality_sum::add(std::size_t i, double diagonal, const double * errors, std::size_t stride) {
    const bool primal = form_ == ridge_form::primal;
    const double mean_part = rows_.mean_leverage(i);
    const double whole = primal ? 1 : diagonal;
    const double left = primal          ? 1 - diagonal - mean_part
                        : mean_part > 0 ? diagonal - mean_part / (gamma_ + alpha_)
                                        : diagonal;
    freedom_ += primal ? diagonal : -alpha_ * left;
    if (!(left > nothing_left * whole)) undefined_ = true;
    for (std::size_t t = 0; t < squares_.size(); t++) {
        const double error = errors[t * stride] / left;
        squares_[t] += error * error;
    }
}

fit_quality quality_sum::finish() const {
    fit_quality out{freedom_, squares_};
    for (double & error : out.loo_error) {
        error = undefined_ ? std::numeric_limits<double>::quiet_NaN() : error / rows_.total_weight();
    }
    return out;
}

template <typename real>
fit_quality measure(const ridge_rows & rows, ridge_form form, double alpha, double gamma,
                    const ridge_factor<real> & factor, const_matrix_f64 x) {
    quality_sum sum(rows, form, alpha, gamma);
    if (form == ridge_form::primal) {
        measure_primal(rows, factor, x, sum);
    } else {
        measure_dual(rows, factor, x, sum);
    }
    return sum.finish();
}

template fit_quality measure(const ridge_rows &, ridge_form, double, double, const ridge_factor<double> &,
                             const_matrix_f64);
template fit_quality measure(const ridge_rows &, ridge_form, double, double, const ridge_factor<float> &,
                             const_matrix_f64);

}  // namespace llama_steer::ridge
