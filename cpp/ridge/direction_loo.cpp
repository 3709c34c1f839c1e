#include "blas.h"
#include "builtin/builtin.h"
#include "direction_shrinkage.h"

#include <cmath>

namespace llama_steer::ridge {

namespace {

using vector = std::vector<double>;

constexpr int least = -12, most = 12, steps_per_decade = 3;

// The regression of the scores on the rows of both classes, everything scaled by the roots of the weights: A [n, d] and
// y [n] of rows sqrt(w_i) (x_i - mean) and sqrt(w_i) (c_i - mean).
class scores_regression {
public:
    scores_regression(const direction_problem & problem, const abort_check & aborted)
        : cols_(problem.cols()), aborted_(aborted) {
        weighted_rows both = problem.refusing;
        both.rows.insert(both.rows.end(), problem.complying.rows.begin(), problem.complying.rows.end());
        both.weights.insert(both.weights.end(), problem.complying.weights.begin(), problem.complying.weights.end());
        const vector mean = weighted_mean(problem.features, both);
        const double total = both.total();
        rows_.resize(both.count() * cols_);
        double mean_score = 0;
        for (std::size_t i = 0; i < both.count(); i++) {
            weights_.push_back(both.weights[i] / total);
            mean_score += weights_[i] * problem.scores[both.rows[i]];
        }
        for (std::size_t i = 0; i < both.count(); i++) {
            const double root = std::sqrt(weights_[i]);
            double * out = rows_.data() + i * cols_;
            problem.features.read(both.rows[i], out);
            for (std::size_t j = 0; j < cols_; j++) out[j] = root * (out[j] - mean[j]);
            targets_.push_back(root * (problem.scores[both.rows[i]] - mean_score));
        }
        eigenvalue_ = builtin::dot(rows_.size(), rows_.data(), rows_.data()) / double(problem.width);
        small_.assign(order() * order(), 0.0);
        syrk(1, matrix(), primal() ? transpose::yes : transpose::no, 0, {small_.data(), order(), order()});
    }

    // A row's share in its own fit is h = w + |L^-1 a|^2 with L L^T = A^T A + lambda I, or 1 + w - lambda |L^-1 e|^2
    // with L L^T = A A^T + lambda I; its residual is what solving with the same factor leaves.
    double error(double multiple) const {
        stop_if(aborted_);
        const double lambda = multiple * eigenvalue_;
        vector factor = small_;
        const matrix_f64 l(factor.data(), order(), order());
        for (std::size_t j = 0; j < order(); j++) l(j, j) += lambda;
        if (potrf(l) != 0) return INFINITY;
        const std::size_t n = weights_.size();
        vector solved(n * order()), residuals = targets_;
        if (primal()) {
            solved = rows_;
            vector coefficients(cols_);
            gemv(1, matrix(), transpose::yes, targets_.data(), 0, coefficients.data());
            potrs(l, {coefficients.data(), 1, cols_});
            gemv(-1, matrix(), transpose::no, coefficients.data(), 1, residuals.data());
        } else {
            for (std::size_t i = 0; i < n; i++) solved[i * n + i] = 1;
            potrs(l, {residuals.data(), 1, n});
            for (auto & value : residuals) value *= lambda;
        }
        stop_if(aborted_);
        builtin::trsm(l, {solved.data(), n, order()}, threads());
        double sum = 0;
        for (std::size_t i = 0; i < n; i++) {
            const double * row = solved.data() + i * order();
            const double squared = builtin::dot(order(), row, row);
            const double rest = (primal() ? 1 - squared : lambda * squared) - weights_[i];
            sum += residuals[i] * residuals[i] / (rest * rest);
        }
        return sum;
    }

private:
    bool primal() const { return cols_ <= weights_.size(); }
    std::size_t order() const { return primal() ? cols_ : weights_.size(); }
    const_matrix_f64 matrix() const { return {rows_.data(), weights_.size(), cols_}; }

    std::size_t cols_;
    const abort_check & aborted_;
    vector weights_, rows_, targets_, small_;
    double eigenvalue_ = 0;
};

}  // namespace

double leave_one_out_multiple(const direction_problem & problem, const abort_check & aborted) {
    const scores_regression regression(problem, aborted);
    double best = 1, lowest = INFINITY;
    for (int step = least; step <= most; step++) {
        const double multiple = std::pow(10.0, double(step) / steps_per_decade), found = regression.error(multiple);
        if (!(found < lowest)) continue;
        lowest = found;
        best = multiple;
    }
    return best;
}

double leave_one_out_error(const direction_problem & problem, double multiple, const abort_check & aborted) {
    return scores_regression(problem, aborted).error(multiple);
}

}  // namespace llama_steer::ridge
