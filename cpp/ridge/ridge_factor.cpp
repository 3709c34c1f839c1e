#include "ridge_factor.h"

#include "blas.h"
#include "builtin/builtin.h"
#include "condition.h"
#include "single.h"

#include <algorithm>
#include <limits>
#include <utility>

namespace llama_steer::ridge {

namespace {

// What rounding leaves of a collinear column: elimination in proportion to the order, summation (at random) to
// sqrt(rows).
double rounding_share(std::size_t order, std::size_t rows) {
    return (double(order) + 4 * std::sqrt(double(rows)) + 8) * std::numeric_limits<double>::epsilon();
}

bool factor_in_place(matrix_f64 a, std::size_t rows) {
    return potrf(a) == 0 && smallest_pivot_share(a) > rounding_share(a.rows, rows);
}

bool factor_in_place(single::matrix_f32 a, std::size_t) { return single::potrf(a) == 0; }

// Right sides in float32: divided by their largest element, so that no scale of the data leaves its range.
template <typename user>
void through_floats(matrix_f64 b, user && use) {
    std::vector<float> room(b.rows * b.cols);
    std::vector<double> scales(b.rows);
    for (std::size_t r = 0; r < b.rows; r++) {
        double largest = 0;
        for (std::size_t j = 0; j < b.cols; j++) largest = std::max(largest, std::fabs(b(r, j)));
        scales[r] = largest > 0 ? largest : 1;
        for (std::size_t j = 0; j < b.cols; j++) room[r * b.cols + j] = static_cast<float>(b(r, j) / scales[r]);
    }
    use(single::matrix_f32(room.data(), b.rows, b.cols));
    for (std::size_t r = 0; r < b.rows; r++) {
        for (std::size_t j = 0; j < b.cols; j++) b(r, j) = scales[r] * double(room[r * b.cols + j]);
    }
}

void solve_with(const_matrix_f64 l, matrix_f64 b) { potrs(l, b); }
void solve_with(single::const_matrix_f32 l, matrix_f64 b) {
    through_floats(b, [&](single::matrix_f32 x) { single::potrs(l, x); });
}

void whiten_with(const_matrix_f64 l, matrix_f64 b) { trsm(l, b); }
void whiten_with(single::const_matrix_f32 l, matrix_f64 b) {
    through_floats(b, [&](single::matrix_f32 x) { single::trsm(l, x); });
}

double norm(std::size_t n, const double * x) { return std::sqrt(builtin::dot(n, x, x)); }

/// The largest |a row| / |b row|; 0 / 0 is 0.
double largest_ratio(const_matrix_f64 a, const_matrix_f64 b) {
    double largest = 0;
    for (std::size_t r = 0; r < a.rows; r++) {
        const double size = norm(a.cols, a.row(r));
        if (size == 0) continue;
        const double ratio = size / norm(b.cols, b.row(r));
        if (!(ratio <= largest)) largest = ratio;
    }
    return largest;
}

}  // namespace

template <typename real>
ridge_factor<real>::ridge_factor(std::vector<real> values, std::size_t order, double alpha, std::size_t summed_rows)
    : values_(std::move(values)), order_(order) {
    const basic_matrix_view<real> a(values_.data(), order, order);
    for (std::size_t j = 0; j < order; j++) a(j, j) += static_cast<real>(alpha);
    norm1_ = symmetric_norm1(a);
    valid_ = std::isfinite(norm1_) && factor_in_place(a, summed_rows);
}

template <typename real>
void ridge_factor<real>::solve(matrix_f64 b) const {
    solve_with(view(), b);
}

template <typename real>
void ridge_factor<real>::whiten(matrix_f64 b, std::size_t from) const {
    whiten_with(view().block(from, from, order_ - from, order_ - from), b);
}

template <typename real>
double ridge_factor<real>::condition() const {
    return condition_estimate(order_, norm1_, [&](double * x) { solve({x, 1, order_}); });
}

template class ridge_factor<double>;
template class ridge_factor<float>;

refinement refine(const ridge_rows & rows, ridge_form form, double gamma, const std::vector<double> & alphas,
                  const std::function<void(matrix_f64)> & solve, std::size_t most, matrix_f64 x) {
    constexpr double rounding = std::numeric_limits<double>::epsilon();
    refinement done;
    std::vector<double> correction(x.rows * x.cols);
    const matrix_f64 step(correction.data(), x.rows, x.cols);
    double before = 1;
    for (std::size_t i = 0; i < most; i++) {
        residual_of(rows, form, gamma, alphas, x, step);
        solve(step);
        done.last = largest_ratio(step, x);
        if (!(done.last < before / 4)) break;
        for (std::size_t r = 0; r < x.rows; r++) builtin::axpy(x.cols, 1, step.row(r), x.row(r));
        done.steps++;
        // What the next one would come to, at the rate of this one.
        const double rate = done.last / before;
        before = done.last;
        if (done.last * rate > rounding) continue;
        done.last *= rate;
        break;
    }
    return done;
}

}  // namespace llama_steer::ridge
