#include "direction_logistic.h"

#include "base/error.h"
#include "blas.h"
#include "builtin/builtin.h"
#include "condition.h"

#include <algorithm>
#include <cmath>

namespace llama_steer::ridge {

namespace {

using vector = std::vector<double>;

constexpr double tolerance = 1e-10, acceptable = 1e-6;
constexpr double sufficient_decrease = 1e-4, least_curvature = 1e-12;
constexpr int most_steps = 200, most_halvings = 50;

double norm(const vector & x) { return std::sqrt(builtin::dot(x.size(), x.data(), x.data())); }

// log(1 + exp(-x)) without overflow, and without losing what is small.
double softplus_of_negative(double x) { return x > 0 ? std::log1p(std::exp(-x)) : std::log1p(std::exp(x)) - x; }

}  // namespace

struct logistic_regression::state {
    vector v;
    double b = 0;
    vector margins;  ///< v^T x_i + b
    vector by_v;
    double by_b = 0;
};

logistic_regression::logistic_regression(const direction_problem & problem, const vector & along,
                                         const abort_check & aborted)
    : cols_(problem.cols()), aborted_(aborted) {
    weighted_rows both = problem.refusing;
    both.rows.insert(both.rows.end(), problem.complying.rows.begin(), problem.complying.rows.end());
    both.weights.insert(both.weights.end(), problem.complying.weights.begin(), problem.complying.weights.end());
    const double total = both.total();
    const vector mean = weighted_mean(problem.features, both);
    rows_.resize(both.count() * cols_);
    for (std::size_t i = 0; i < both.count(); i++) {
        double * row = rows_.data() + i * cols_;
        problem.features.read(both.rows[i], row);
        for (std::size_t j = 0; j < cols_; j++) row[j] -= mean[j];
        project_away(along, row);
        weights_.push_back(both.weights[i] / total);
        classes_.push_back(i < problem.refusing.count() ? 1 : -1);
        mean_eigenvalue_ += weights_[i] * builtin::dot(cols_, row, row) / double(problem.width);
    }
}

logistic_regression::state logistic_regression::at(vector v, double b) const {
    state s;
    s.margins.assign(weights_.size(), b);
    gemv(1, {rows_.data(), weights_.size(), cols_}, transpose::no, v.data(), 1, s.margins.data());
    s.v = std::move(v);
    s.b = b;
    return s;
}

double logistic_regression::objective(const state & s, double lambda) const {
    double loss = 0;
    for (std::size_t i = 0; i < weights_.size(); i++) {
        loss += weights_[i] * softplus_of_negative(classes_[i] * s.margins[i]);
    }
    return loss + lambda / 2 * builtin::dot(cols_, s.v.data(), s.v.data());
}

void logistic_regression::gradient(state & s, double lambda) const {
    vector slopes(weights_.size());
    s.by_b = 0;
    for (std::size_t i = 0; i < weights_.size(); i++) {
        slopes[i] = -weights_[i] * classes_[i] / (1 + std::exp(classes_[i] * s.margins[i]));
        s.by_b += slopes[i];
    }
    s.by_v = s.v;
    gemv(1, {rows_.data(), weights_.size(), cols_}, transpose::yes, slopes.data(), lambda, s.by_v.data());
}

// Newton's step for v and b, b eliminated by taking the rows around their mean in the weights of the curvature. Returns
// the estimated condition number.
double logistic_regression::newton_step(const state & s, double lambda, vector & step, double & step_b) const {
    const std::size_t n = weights_.size();
    vector curvature(n), mean(cols_), scaled(n * cols_), hessian(cols_ * cols_);
    double total = 0;
    for (std::size_t i = 0; i < n; i++) {
        const double p = 1 / (1 + std::exp(-s.margins[i]));
        curvature[i] = weights_[i] * std::max(p * (1 - p), least_curvature);
        total += curvature[i];
        builtin::axpy(cols_, curvature[i], rows_.data() + i * cols_, mean.data());
    }
    for (auto & value : mean) value /= total;
    for (std::size_t i = 0; i < n; i++) {
        const double root = std::sqrt(curvature[i]);
        for (std::size_t j = 0; j < cols_; j++) scaled[i * cols_ + j] = root * (rows_[i * cols_ + j] - mean[j]);
    }
    const matrix_f64 h(hessian.data(), cols_, cols_);
    syrk(1, {scaled.data(), n, cols_}, transpose::yes, 0, h);
    for (std::size_t j = 0; j < cols_; j++) h(j, j) += lambda;
    const double size = symmetric_norm1(h);
    stop_if(aborted_);
    if (potrf(h) != 0) {
        throw error(error_code::SINGULAR_MATRIX,
                    "the Hessian of the logistic regression is singular to within rounding: set a larger lambda");
    }
    for (std::size_t j = 0; j < cols_; j++) step[j] = -(s.by_v[j] - mean[j] * s.by_b);
    potrs(h, {step.data(), 1, cols_});
    step_b = -s.by_b / total - builtin::dot(cols_, mean.data(), step.data());
    return condition_estimate(h, size);
}

direction_solution logistic_regression::solve(double lambda) const {
    if (!(lambda > 0)) {
        throw error(
            error_code::SINGULAR_MATRIX,
            "logistic regression with lambda = 0 has no finite solution where the classes can be separated: set "
            "lambda above 0");
    }
    double positive = 0;
    for (std::size_t i = 0; i < weights_.size(); i++) positive += classes_[i] > 0 ? weights_[i] : 0;
    state s = at(vector(cols_), std::log(positive / (1 - positive)));
    gradient(s, lambda);
    const double first = norm(s.by_v);
    direction_solution out;
    const auto ended = [&](double share) { return norm(s.by_v) <= share * first && std::fabs(s.by_b) <= share; };
    for (int count = 0; count < most_steps && !(count > 0 && ended(tolerance)); count++) {
        stop_if(aborted_);
        vector step(cols_);
        double step_b = 0;
        out.condition = newton_step(s, lambda, step, step_b);
        const double slope = builtin::dot(cols_, step.data(), s.by_v.data()) + step_b * s.by_b;
        const double before = objective(s, lambda);
        double length = 1;
        bool better = false;
        for (int halving = 0; halving < most_halvings && !better; halving++, length /= 2) {
            vector v = s.v;
            builtin::axpy(cols_, length, step.data(), v.data());
            state next = at(std::move(v), s.b + length * step_b);
            // Near the optimum the decrease drowns in rounding: there the full step is right.
            const double noise = 1e-14 * std::fabs(before);
            if (!(objective(next, lambda) <= before + sufficient_decrease * length * slope + noise)) continue;
            s = std::move(next);
            better = true;
        }
        gradient(s, lambda);
        if (!better) break;
    }
    if (!ended(acceptable)) {
        throw error(error_code::SINGULAR_MATRIX,
                    "the logistic regression did not come near its optimum: set a larger "
                    "lambda, or rescale the features");
    }
    out.vector = s.v;
    out.lambda = lambda;
    out.shrinkage = lambda / (lambda + mean_eigenvalue_);
    return out;
}

}  // namespace llama_steer::ridge
