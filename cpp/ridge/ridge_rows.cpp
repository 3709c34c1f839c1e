#include "ridge_rows.h"

#include "builtin/builtin.h"
#include "builtin/row_kernel.h"

#include <algorithm>

namespace llama_steer::ridge {

namespace {

void write(std::size_t cols, const float * row, const double * mean, double factor, double * out) {
    builtin::best_row_kernel().write(cols, row, mean, factor, out);
}
void write(std::size_t cols, const float * row, const double * mean, double factor, float * out) {
    builtin::best_row_kernel().write_single(cols, row, mean, factor, out);
}

}  // namespace

ridge_rows::ridge_rows(const ridge_problem & problem, const abort_check & aborted)
    : problem_(problem), aborted_(aborted) {
    find_active();
    find_means();
    const std::size_t k = targets();
    y_.resize(k * count());
    for (std::size_t i = 0; i < count(); i++) {
        const double * from = problem.targets + active_[i] * k;
        for (std::size_t t = 0; t < k; t++) y_[t * count() + i] = roots_[i] * (from[t] - target_mean_[t]);
    }
}

void ridge_rows::find_active() {
    for (std::size_t i = 0; i < problem_.features.rows; i++) {
        const double weight = problem_.weights ? problem_.weights[i] : 1;
        if (!(weight > 0)) continue;
        active_.push_back(i);
        weights_.push_back(weight);
        roots_.push_back(std::sqrt(weight));
        total_ += weight;
        squares_ += weight * weight;
    }
}

// As an offset from the first row: equal rows give exactly that row, and a common offset costs no digits.
void ridge_rows::find_means() {
    mean_.assign(cols(), 0.0);
    target_mean_.assign(targets(), 0.0);
    if (!problem_.intercept) return;
    const std::size_t k = targets(), d = cols();
    const double * first_targets = problem_.targets + active_[0] * k;
    std::vector<float> room(d);
    const float * first = floats_of(problem_.features, active_[0], room.data());
    const std::vector<double> origin(first, first + d);
    add_rows(origin, mean_);
    for (std::size_t j = 0; j < d; j++) mean_[j] = origin[j] + mean_[j] / total_;
    for (std::size_t i = 0; i < count(); i++) {
        const double * from = problem_.targets + active_[i] * k;
        for (std::size_t t = 0; t < k; t++) target_mean_[t] += weights_[i] / total_ * (from[t] - first_targets[t]);
    }
    for (std::size_t t = 0; t < k; t++) target_mean_[t] += first_targets[t];
}

void ridge_rows::write_row(std::size_t i, float * room, double * out) const {
    const float * from = floats_of(problem_.features, active_[i], room);
    write(cols(), from, mean_.data(), roots_[i], out);
}

void ridge_rows::write_row(std::size_t i, float * room, float * out) const {
    const float * from = floats_of(problem_.features, active_[i], room);
    write(cols(), from, mean_.data(), roots_[i], out);
}

template <typename real>
void ridge_rows::write_columns(std::size_t from, basic_matrix_view<real> out) const {
    row_block part = problem_.features;
    const std::size_t size = part.type == element_type::f32 ? sizeof(float) : sizeof(std::uint16_t);
    part.data = static_cast<const char *>(part.data) + from * size;
    part.cols = out.cols;
    std::vector<float> room(out.cols);
    for (std::size_t i = 0; i < count(); i++) {
        const float * row = floats_of(part, active_[i], room.data());
        write(out.cols, row, &mean_[from], roots_[i], out.row(i));
    }
}

template void ridge_rows::write_columns(std::size_t, basic_matrix_view<double>) const;
template void ridge_rows::write_columns(std::size_t, basic_matrix_view<float>) const;

std::vector<double> ridge_rows::residuals(const std::vector<double> & b, const std::vector<double> & a) const {
    const row_block & x = problem_.features;
    const std::size_t k = targets(), d = cols();
    std::vector<double> out(x.rows * k), row(d);
    std::vector<float> room(d);
    for (std::size_t i = 0; i < x.rows; i++) {
        if (i % 256 == 0) stop_if(aborted_);
        const float * from = floats_of(x, i, room.data());
        // About the mean, as the fit was made: a common offset costs no digits.
        for (std::size_t j = 0; j < d; j++) row[j] = double(from[j]) - mean_[j];
        for (std::size_t t = 0; t < k; t++) {
            const double at_mean = problem_.intercept ? target_mean_[t] : a[t];
            out[i * k + t] = problem_.targets[i * k + t] - at_mean - builtin::dot(d, row.data(), &b[t * d]);
        }
    }
    return out;
}

}  // namespace llama_steer::ridge
