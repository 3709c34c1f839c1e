#include "ridge_system.h"

#include "blas.h"
#include "builtin/builtin.h"
#include "single.h"

#include <algorithm>
#include <limits>

namespace llama_steer::ridge {

namespace {

void add_to(const_matrix_f64 x, transpose op, matrix_f64 gram) { syrk(1, x, op, 1, gram); }
void add_to(single::const_matrix_f32 x, transpose op, single::matrix_f32 gram) {
    single::add_gram(x, op == transpose::yes, gram);
}

// In float32 without a chunk in float64: half the room, and one conversion for each number.
void sum_primal(const ridge_rows & rows, ridge_gram<float> & gram, const std::function<void(double)> & progress) {
    rows.each_float_chunk([&](std::size_t first, single::const_matrix_f32 x) {
        add_to(x, transpose::yes, gram.view());
        progress(double(first + x.rows) / double(rows.count()));
    });
    gram.facts.trace = rows.trace();
    gram.facts.fourth = std::numeric_limits<double>::quiet_NaN();
}

void sum_primal(const ridge_rows & rows, ridge_gram<double> & gram, const std::function<void(double)> & progress) {
    rows.each_chunk([&](std::size_t first, const_matrix_f64 x) {
        add_to(x, transpose::yes, gram.view());
        for (std::size_t i = 0; i < x.rows; i++) {
            const double norm = builtin::dot(x.cols, x.row(i), x.row(i));
            gram.facts.trace += norm;
            gram.facts.fourth += norm * norm;
        }
        progress(double(first + x.rows) / double(rows.count()));
    });
}

// |x_i|^2 are the diagonal of X X^T.
double diagonal_squares(const_matrix_f64 gram) {
    double sum = 0;
    for (std::size_t i = 0; i < gram.rows; i++) sum += gram(i, i) * gram(i, i);
    return sum;
}
double diagonal_squares(single::const_matrix_f32) { return std::numeric_limits<double>::quiet_NaN(); }

// X X^T from panels of columns, so that X itself never lies in memory.
template <typename real>
void sum_dual(const ridge_rows & rows, ridge_gram<real> & gram, const std::function<void(double)> & progress,
              const abort_check & aborted) {
    const std::size_t n = rows.count(), d = rows.cols();
    // No more than the matrix takes, and of an 8 MB that stays in the caches.
    const std::size_t width = std::min(d, std::clamp<std::size_t>(std::min((std::size_t(1) << 20) / n, n), 256, 4096));
    std::vector<real> panel(n * width);
    for (std::size_t from = 0; from < d; from += width) {
        stop_if(aborted);
        const basic_matrix_view<real> x(panel.data(), n, std::min(width, d - from));
        rows.write_columns(from, x);
        add_to(x, transpose::no, gram.view());
        progress(double(from + x.cols) / double(d));
    }
    gram.facts.trace = rows.trace();
    gram.facts.fourth = diagonal_squares(gram.view());
}

double squared_norm(const_matrix_f64 lower) {
    double sum = 0;
    for (std::size_t i = 0; i < lower.rows; i++) {
        sum += 2 * builtin::dot(i, lower.row(i), lower.row(i)) + lower(i, i) * lower(i, i);
    }
    return sum;
}

double squared_norm(single::const_matrix_f32) { return std::numeric_limits<double>::quiet_NaN(); }

/// u, or 0 without intercept.
std::vector<double> null_direction(const ridge_rows & rows) {
    std::vector<double> u(rows.count());
    for (std::size_t i = 0; i < u.size(); i++) u[i] = std::sqrt(rows.mean_leverage(i));
    return u;
}

template <typename real>
void deflate(const ridge_rows & rows, ridge_gram<real> & gram) {
    if (gram.form == ridge_form::primal || !rows.intercept()) return;
    const std::size_t n = rows.count();
    gram.facts.gamma = gram.facts.trace / double(n);
    const std::vector<double> u = null_direction(rows);
    for (std::size_t i = 0; i < n; i++) {
        real * row = gram.view().row(i);
        for (std::size_t j = 0; j <= i; j++) row[j] += static_cast<real>(gram.facts.gamma * u[i] * u[j]);
    }
}

}  // namespace

template <typename real>
ridge_gram<real> make_gram(const ridge_rows & rows, ridge_form form, const std::function<void(double)> & progress) {
    ridge_gram<real> gram;
    gram.form = form;
    gram.order = form == ridge_form::primal ? rows.cols() : rows.count();
    gram.values.assign(gram.order * gram.order, real(0));
    if (form == ridge_form::primal) {
        sum_primal(rows, gram, progress);
    } else {
        sum_dual(rows, gram, progress, rows.aborted());
    }
    gram.facts.squared = squared_norm(gram.view());
    deflate(rows, gram);
    return gram;
}

template ridge_gram<double> make_gram(const ridge_rows &, ridge_form, const std::function<void(double)> &);
template ridge_gram<float> make_gram(const ridge_rows &, ridge_form, const std::function<void(double)> &);

std::vector<double> right_sides(const ridge_rows & rows, ridge_form form) {
    const const_matrix_f64 y = rows.y();
    if (form == ridge_form::dual) return {y.data, y.data + y.rows * y.cols};
    std::vector<double> out(y.rows * rows.cols());
    rows.multiply_transposed(y, {out.data(), y.rows, rows.cols()});
    return out;
}

void residual_of(const ridge_rows & rows, ridge_form form, double gamma, const std::vector<double> & alphas,
                 const_matrix_f64 x, matrix_f64 out) {
    const std::size_t k = rows.targets();
    if (form == ridge_form::primal) {
        rows.normal_residual(x, out);
    } else {
        std::vector<double> b(x.rows * rows.cols());
        rows.multiply_transposed(x, {b.data(), x.rows, rows.cols()});
        rows.multiply({b.data(), x.rows, rows.cols()}, out);
        const std::vector<double> u = null_direction(rows);
        for (std::size_t r = 0; r < x.rows; r++) {
            const double * y = rows.y().row(r % k);
            // What rounding put along u would else be taken back by a small part only, alpha / (alpha + gamma).
            const double along = gamma * builtin::dot(out.cols, u.data(), x.row(r));
            for (std::size_t i = 0; i < out.cols; i++) out(r, i) = y[i] - out(r, i) - along * u[i];
        }
    }
    for (std::size_t r = 0; r < x.rows; r++) builtin::axpy(out.cols, -alphas[r / k], x.row(r), out.row(r));
}

std::vector<double> coefficients_of(const ridge_rows & rows, ridge_form form, const std::vector<double> & x) {
    if (form == ridge_form::primal) return x;
    const std::size_t count = x.size() / rows.count();
    std::vector<double> out(count * rows.cols());
    rows.multiply_transposed({x.data(), count, rows.count()}, {out.data(), count, rows.cols()});
    return out;
}

}  // namespace llama_steer::ridge
