// Ridge regression on rows that come a part at a time, in any order, and are not kept. For z = (x, y), the features and
// targets of a row side by side, it holds
//
//   W = sum w        mean = sum w z / W        M = sum w (z - mean)(z - mean)^T
//
// which hold all that a fit needs: X^T X + alpha I and X^T y with or without intercept. Parts are joined as
// moments_accumulator.h says (Chan, Golub and LeVeque). 8 (d + k)^2 bytes, whatever the number of rows; a solve takes
// 8 d^2 more. Without rows there are no residuals, no leave-one-out error, no Ledoit-Wolf and no refinement: the loss
// is that of the normal equations, about the condition number times 2^-53.
#pragma once

#include "moments_accumulator.h"
#include "ridge_problem.h"

#include <cstddef>
#include <functional>
#include <vector>

namespace llama_steer::ridge {

/// One thread at a time.
class ridge_accumulator {
public:
    /// Throws INVALID_ARGUMENT (a dimension of 0, or beyond 2^30), OUT_OF_MEMORY with the bytes needed, also where they
    /// exceed `memory_limit` (0: none).
    ridge_accumulator(std::size_t cols, std::size_t targets, std::size_t memory_limit = 0);

    std::size_t cols() const { return cols_; }
    std::size_t targets() const { return targets_; }
    /// Rows of positive weight, and the sum of weights.
    std::size_t count() const { return count_; }
    double weight() const { return total_; }
    std::size_t bytes() const { return sums_.capacity() * sizeof(double); }

    /// Adds rows; problem.intercept is not looked at. All or nothing: what throws has changed no bit. Takes another
    /// 8 (d + k)^2 bytes meanwhile. Weights that are all 0 add nothing. `progress` gets the fraction done. Errors: as
    /// check_problem, WIDTH_MISMATCH, OUT_OF_MEMORY, ABORTED.
    void add(const ridge_problem & problem, const abort_check & aborted = {},
             const std::function<void(double)> & progress = {});

    /// Adds the rows that one cell of moments has seen, all of them with the targets `values` [k]. Throws
    /// WIDTH_MISMATCH, INVALID_ARGUMENT (no full second moment), EMPTY_CLASS (no rows), NOT_FINITE (values).
    void add(const moments_accumulator & moments, std::size_t layer, std::size_t group, const double * values);

    /// Adds what another has seen. Throws WIDTH_MISMATCH, INVALID_ARGUMENT for itself.
    void merge(const ridge_accumulator & other);

    /// As solve_ridge; options.residuals and form are not looked at, loo_error stays empty, and degrees of freedom come
    /// from the factor. Errors: INVALID_ARGUMENT also for lambdas that need rows, EMPTY_CLASS where nothing was added.
    std::vector<ridge_solution> solve(const ridge_options & options, bool intercept) const;

private:
    struct part;
    struct system;
    system system_of(bool intercept) const;
    ridge_solution solved(const system & of, std::vector<double> gram, double alpha,
                          const ridge_options & options) const;
    /// Sums of rows, computed elsewhere, to these: neither allocates nor fails.
    void join(std::size_t count, double weight, double squares, const double * mean, const double * second);
    std::size_t width() const { return cols_ + targets_; }
    matrix_f64 second() { return {sums_.data(), width(), width()}; }
    const_matrix_f64 second() const { return {sums_.data(), width(), width()}; }

    std::size_t cols_, targets_, count_ = 0;
    double total_ = 0, squares_ = 0;  ///< sums of w and w^2
    std::vector<double> mean_;        ///< [d + k]
    std::vector<double> sums_;        ///< M [d + k, d + k], lower triangle
    std::vector<double> shift_;       ///< scratch [d + k]
};

}  // namespace llama_steer::ridge
