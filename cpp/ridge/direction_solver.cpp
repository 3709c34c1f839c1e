#include "base/error.h"
#include "blas.h"
#include "builtin/builtin.h"
#include "condition.h"
#include "direction_krylov.h"
#include "direction_logistic.h"
#include "direction_problem.h"
#include "direction_shrinkage.h"

#include <algorithm>
#include <cmath>
#include <limits>
#include <sstream>
#include <string>

namespace llama_steer::ridge {

namespace {

using vector = std::vector<double>;

// From how many lambdas and dimensions on one Krylov space costs less than a factorization for each.
constexpr std::size_t many_lambdas = 4, many_dimensions = 128, krylov_steps = 500;

constexpr double infinite = std::numeric_limits<double>::infinity();

std::string number(double value) {
    std::ostringstream text;
    text << value;
    return text.str();
}

// The ridge methods and LDA: (Sigma + lambda I)^-1 (mu_R - mu_C).
class ridge_solver {
public:
    ridge_solver(const direction_problem & problem, const direction_options & options, const class_means & means,
                 const abort_check & aborted)
        : problem_(problem),
          options_(options),
          means_(means),
          aborted_(aborted),
          covariance_(covariance_of(problem, options, means, aborted)),
          eigenvalue_(covariance_.trace / double(problem.width)) {}

    std::vector<direction_solution> run(const std::vector<double> & lambdas) {
        if (options_.rule != lambda_rule::given) return {by_rule()};
        vector absolute;
        for (const double lambda : lambdas) {
            absolute.push_back(options_.unit == lambda_unit::absolute ? lambda : lambda * eigenvalue_);
        }
        std::vector<direction_solution> solved(lambdas.size());
        if (lambdas.size() > many_lambdas && problem_.cols() >= many_dimensions) by_krylov(absolute, solved);
        std::size_t left = std::size_t(std::count_if(solved.begin(), solved.end(), unsolved));
        for (std::size_t i = 0; i < solved.size(); i++) {
            if (unsolved(solved[i])) solved[i] = by_cholesky(absolute[i], --left == 0);
        }
        return solved;
    }

private:
    static bool unsolved(const direction_solution & s) { return s.vector.empty(); }

    double shrinkage_of(double lambda) const {
        if (lambda == infinite) return 1;
        return lambda > 0 ? lambda / (lambda + eigenvalue_) : 0;
    }

    direction_solution by_rule() {
        if (options_.rule == lambda_rule::leave_one_out) {
            return by_cholesky(leave_one_out_multiple(problem_, aborted_) * eigenvalue_, true);
        }
        const double share = options_.rule == lambda_rule::oas ? oas_shrinkage(covariance_, problem_.width)
                                                               : ledoit_wolf_shrinkage(covariance_, problem_.width);
        if (share < 1) return by_cholesky(share / (1 - share) * eigenvalue_, true);
        return {means_.kept_shift, infinite, 1, 1};
    }

    void by_krylov(const vector & lambdas, std::vector<direction_solution> & solved) {
        const std::size_t d = problem_.cols();
        const matrix_f64 sigma(covariance_.sigma.data(), d, d);
        mirror_lower(sigma);
        const auto found = solve_shifted(sigma, means_.kept_shift, lambdas, krylov_steps, aborted_);
        for (std::size_t i = 0; i < lambdas.size(); i++) {
            // Where rounding is all that keeps Sigma + lambda I from being singular, Cholesky is there to say so.
            if (found.condition[i] * rounding_share() >= 1) continue;
            solved[i] = {found.vectors[i], lambdas[i], shrinkage_of(lambdas[i]), found.condition[i]};
        }
    }

    // Overwrites Sigma where it is needed no more.
    direction_solution by_cholesky(double lambda, bool last) {
        const std::size_t d = problem_.cols();
        vector copy;
        if (!last) copy = covariance_.sigma;
        const matrix_f64 sigma(last ? covariance_.sigma.data() : copy.data(), d, d);
        for (std::size_t j = 0; j < d; j++) sigma(j, j) += lambda;
        if (problem_.reduced() && lambda == 0) singular(lambda);
        stop_if(aborted_);
        const double size = symmetric_norm1(sigma);
        const std::size_t failed = potrf(sigma);
        if (failed || smallest_pivot_share(sigma) <= rounding_share()) singular(lambda);
        stop_if(aborted_);
        direction_solution out{means_.kept_shift, lambda, shrinkage_of(lambda), condition_estimate(sigma, size)};
        // A basis of the rows hides a dependent column from its pivot.
        if (problem_.reduced() && out.condition * rounding_share() >= 1) singular(lambda);
        potrs(sigma, {out.vector.data(), 1, d});
        return out;
    }

    // What rounding leaves of a collinear column: elimination in proportion to d, summation (at random) to sqrt(rows).
    double rounding_share() const {
        const double steps = double(problem_.cols()) + 4 * std::sqrt(double(covariance_.rows)) + 8;
        return steps * std::numeric_limits<double>::epsilon();
    }

    [[noreturn]] void singular(double lambda) const {
        throw error(error_code::SINGULAR_MATRIX, "the covariance of " + std::to_string(covariance_.rows) + " rows in " +
                                                     std::to_string(problem_.width) +
                                                     " dimensions is singular with lambda = " + number(lambda) +
                                                     (lambda == 0 ? ": set lambda above 0" : ": set a larger lambda"));
    }

    const direction_problem & problem_;
    const direction_options & options_;
    const class_means & means_;
    const abort_check & aborted_;
    direction_covariance covariance_;
    double eigenvalue_;
};

// Of S = (Sigma_R + Sigma_C + delta delta^T) / 2, without what is projected out.
direction_solution principal_component(const direction_problem & p, const class_means & m,
                                       const abort_check & aborted) {
    const std::size_t d = p.cols();
    vector storage(d * d, 0.0);
    const matrix_f64 s(storage.data(), d, d);
    add_covariance(p.features, p.refusing, m.refusing, 0.5, s, aborted);
    add_covariance(p.features, p.complying, m.complying, 0.5, s, aborted);
    syrk(0.5, {m.shift.data(), 1, d}, transpose::yes, 1, s);
    mirror_lower(s);
    if (!m.along.empty()) {
        for (std::size_t i = 0; i < d; i++) project_away(m.along, s.row(i));
        vector column(d);
        for (std::size_t j = 0; j < d; j++) {
            for (std::size_t i = 0; i < d; i++) column[i] = s(i, j);
            project_away(m.along, column.data());
            for (std::size_t i = 0; i < d; i++) s(i, j) = column[i];
        }
    }
    direction_solution out;
    out.vector = largest_eigenvector(s, m.kept_shift, aborted);
    if (out.vector.empty()) {
        throw error(error_code::SINGULAR_MATRIX,
                    "the two largest principal components are of one size: none of them is the first");
    }
    return out;
}

std::vector<direction_solution> logistic(const direction_problem & p, const direction_options & o,
                                         const class_means & m, const std::vector<double> & lambdas,
                                         const abort_check & aborted) {
    const logistic_regression regression(p, m.along, aborted);
    std::vector<direction_solution> solved;
    for (const double lambda : lambdas) {
        const double unit = o.unit == lambda_unit::absolute ? 1 : regression.mean_eigenvalue();
        solved.push_back(regression.solve(lambda * unit));
    }
    return solved;
}

}  // namespace

std::vector<direction_solution> solve_directions(const direction_problem & problem, const direction_options & options,
                                                 const std::vector<double> & lambdas, const abort_check & aborted) {
    const class_means means = means_of(problem, options.preserve);
    stop_if(aborted);
    switch (options.method) {
        case direction_method::mean_difference:
            return {{means.kept_shift, 0, 0, 0}};
        case direction_method::principal_component:
            return {principal_component(problem, means, aborted)};
        case direction_method::logistic:
            return logistic(problem, options, means, lambdas, aborted);
        default:
            return ridge_solver(problem, options, means, aborted).run(lambdas);
    }
}

}  // namespace llama_steer::ridge
