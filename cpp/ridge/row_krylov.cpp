#include "row_krylov.h"

#include "blas.h"
#include "builtin/builtin.h"
#include "lanczos.h"

#include <algorithm>
#include <cmath>
#include <utility>

namespace llama_steer::ridge {

namespace {

// What is aimed at, what will do where no step is left, and what must be proven in the end.
constexpr double converged_at = 1e-12, accepted_at = 3e-11, proven_at = 1e-10;
constexpr std::size_t checked_every = 4, first_judged = 8;

/// One target's space and how its error went down.
class target_space {
public:
    target_space(std::size_t d, const double * right, std::size_t most, double alpha)
        : space_(d, right, most), most_(most), alpha_(alpha), done_(space_.zero()) {}

    bool done() const { return done_; }
    bool failed() const { return failed_; }
    const lanczos & space() const { return space_; }

    /// Takes the product of what the space asked for.
    void add(double * product) {
        space_.add(product);
        const std::size_t steps = space_.steps();
        done_ = space_.closed();
        if (done_) return;
        failed_ = space_.norm() + alpha_ > largest_krylov_condition * alpha_;
        const bool full = steps >= most_;
        if (failed_ || !(full || steps % checked_every == 0)) return;
        bounds_.emplace_back(double(steps), std::log(space_.error_bound(alpha_)));
        done_ = bounds_.back().second <= std::log(full ? accepted_at : converged_at);
        failed_ = !done_ && (full || is_hopeless());
    }

private:
    // The error goes down by a nearly constant factor, faster where the spectrum has few large members: what the second
    // half of the steps brought says when it will be small enough.
    bool is_hopeless() const {
        const auto [steps, bound] = bounds_.back();
        if (steps < double(std::max(first_judged, most_ / 4))) return false;
        const auto [earlier, before] = bounds_[bounds_.size() / 2 - (bounds_.size() > 1 ? 1 : 0)];
        const double rate = steps > earlier ? (before - bound) / (steps - earlier) : 0;
        return !(rate > 0) || steps + (bound - std::log(accepted_at)) / rate > double(most_);
    }

    lanczos space_;
    std::size_t most_;
    double alpha_;
    bool done_, failed_ = false;
    std::vector<std::pair<double, double>> bounds_;  ///< steps, log of the bound
};

using spaces = std::vector<target_space>;

/// Steps all spaces that need it, in one pass over the rows; false where none does.
bool step(const ridge_rows & rows, spaces & all) {
    const std::size_t d = rows.cols();
    std::vector<target_space *> open;
    std::vector<double> p;
    for (target_space & each : all) {
        if (each.done()) continue;
        open.push_back(&each);
        p.insert(p.end(), each.space().next(), each.space().next() + d);
    }
    if (open.empty()) return false;
    std::vector<double> products(p.size());
    rows.multiply_gram({p.data(), open.size(), d}, {products.data(), open.size(), d});
    for (std::size_t i = 0; i < open.size(); i++) open[i]->add(&products[i * d]);
    return true;
}

/// The largest |X^T (y - X b) - alpha b| / (alpha |b|) of the targets.
double proven_error(const ridge_rows & rows, double alpha, const_matrix_f64 b) {
    std::vector<double> residual(b.rows * b.cols);
    rows.normal_residual(b, {residual.data(), b.rows, b.cols});
    double worst = 0;
    for (std::size_t t = 0; t < b.rows; t++) {
        double * r = &residual[t * b.cols];
        builtin::axpy(b.cols, -alpha, b.row(t), r);
        const double off = builtin::dot(b.cols, r, r), size = builtin::dot(b.cols, b.row(t), b.row(t));
        if (off > 0) worst = std::max(worst, std::sqrt(off / size) / alpha);
    }
    return worst;
}

}  // namespace

std::vector<double> solve_by_rows(const ridge_rows & rows, const std::vector<double> & alphas, std::size_t most,
                                  const std::function<void(double)> & progress) {
    const std::size_t d = rows.cols(), k = rows.targets(), size = k * d;
    const auto least = std::min_element(alphas.begin(), alphas.end());
    if (!(*least > 0)) return {};
    std::vector<double> right(size);
    rows.multiply_transposed(rows.y(), {right.data(), k, d});
    spaces all;
    for (std::size_t t = 0; t < k; t++) all.emplace_back(d, &right[t * d], most, *least);
    for (std::size_t steps = 1; step(rows, all); steps++) {
        progress(double(steps) / double(most + 1));
        if (std::any_of(all.begin(), all.end(), [](const target_space & each) { return each.failed(); })) return {};
    }
    std::vector<double> out(alphas.size() * size);
    for (std::size_t t = 0; t < k; t++) {
        all[t].space().solutions(alphas, {out.data() + t * d, alphas.size(), d, size});
    }
    const double * hardest = &out[std::size_t(least - alphas.begin()) * size];
    if (!(proven_error(rows, *least, {hardest, k, d}) <= proven_at)) return {};
    return out;
}

}  // namespace llama_steer::ridge
