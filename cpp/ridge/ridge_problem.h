// Weighted ridge regression with several targets, as stated by a caller.
//
//   minimise over b, a:   sum_i w_i (y_i - x_i^T b - a)^2 + alpha |b|^2            for each target y
//
// The intercept a is not penalised. alpha is what scikit-learn's Ridge calls so; a relative lambda is
// alpha / (tr(G) / d), where G = sum_i w_i (x_i - mu)(x_i - mu)^T, mu being the weighted mean (0 without intercept):
// the share of the mean eigenvalue that is added to every one.
#pragma once

#include "control.h"
#include "row_block.h"

#include <cstddef>
#include <functional>
#include <string>
#include <vector>

namespace llama_steer::ridge {

/// Owns nothing: what it points to must outlive the solve.
struct ridge_problem {
    row_block features;                ///< [n, d], finite
    const double * targets = nullptr;  ///< [n, k] without room between rows, finite
    std::size_t target_count = 1;      ///< k
    const double * weights = nullptr;  ///< [n], 0 or from 1e-100 to 1e100, not all 0; null: all 1
    bool intercept = true;
};

/// Of a factorization. `automatic`, in options alone: f32 where that is bound to reach the accuracy of f64, and no
/// diagnostics are asked for, which would have the accuracy of the factor.
enum class ridge_precision { f64, f32, automatic };

/// How alpha is found: a list, absolute or relative; the least leave-one-out error; or from a shrinkage s of the
/// covariance, as lambda = s / (1 - s) relative, since (1 - s) Sigma + s tr(Sigma) / d I is proportional to that.
enum class lambda_choice { absolute, relative, leave_one_out, oas, ledoit_wolf };

/// Which system is solved: d x d, n x n, or the smaller. Callers leave it at that; tests compare the two.
enum class ridge_form { smaller, primal, dual };

/// How a system may be solved: by products with the rows where that is expected to be fastest, or always by forming its
/// matrix. `rows` tries the products whatever they cost, for tests.
enum class ridge_method { automatic, matrix, rows };

/// What a solution came from: a Cholesky factor, a tridiagonal reduction, or Lanczos' method.
enum class ridge_solver { cholesky, tridiagonal, lanczos };

struct ridge_options {
    lambda_choice choice = lambda_choice::relative;
    std::vector<double> lambdas = {1.0};  ///< finite, >= 0; ignored where the data choose
    ridge_precision precision = ridge_precision::f64;
    ridge_form form = ridge_form::smaller;  ///< anything else forms the matrix
    ridge_method method = ridge_method::automatic;
    bool residuals = false;
    bool diagnostics = true;       ///< degrees of freedom and leave-one-out error: about as much work again
    std::size_t memory_limit = 0;  ///< bytes beside the caller's arrays; 0: none
    std::size_t copied_bytes = 0;  ///< what the caller copied for this solve: counted against the limit too
    abort_check aborted;
    std::function<void(double)> progress;  ///< called on the solving thread with the fraction done
};

struct ridge_solution {
    std::vector<double> coefficients;  ///< [k, d]
    std::vector<double> intercept;     ///< [k], 0 without intercept
    std::vector<double> residuals;     ///< [n, k] y - x b - a, empty unless asked for
    double alpha = 0;                  ///< as used, absolute
    double relative_lambda = 0;        ///< as used; infinite where G is 0
    double shrinkage = 0;              ///< of oas and ledoit_wolf, NaN elsewhere

    /// tr of the hat matrix, the intercept counted as 1. NaN without diagnostics.
    double degrees_of_freedom = 0;
    /// [k] weighted mean of the squared errors of predicting each row by the fit of all others, alpha unchanged. Empty
    /// without diagnostics; NaN where a row is predicted by no other.
    std::vector<double> loo_error;
    /// Estimated 1-norm condition number of the system solved (lower bound, mostly within a factor of 3); of lanczos an
    /// upper bound, (trace + alpha) / alpha.
    double condition = 0;
    ridge_solver solver = ridge_solver::cholesky;
    ridge_form form = ridge_form::primal;
    ridge_precision precision = ridge_precision::f64;  ///< of the factorization that served
    std::size_t refinements = 0;                       ///< corrections applied after the first solve
    std::string notice;                                ///< what a user should know of it; mostly empty
};

/// Throws INVALID_ARGUMENT (n or d or k 0, a bad stride or lambda, a weight out of range), NOT_FINITE (which element),
/// EMPTY_CLASS (all weights 0; not for rows that are a part of what is fitted).
void check_problem(const ridge_problem & problem, bool is_part = false);
/// What check_problem says of targets and weights, for rows that will come in pieces: only features.rows is looked at.
void check_targets_and_weights(const ridge_problem & problem, bool is_part);
void check_options(const ridge_options & options);

/// Bytes a solve takes beside the caller's arrays, options.copied_bytes included. `active`: rows of positive weight.
/// Errors: OUT_OF_MEMORY beyond 2^62.
std::size_t ridge_bytes(std::size_t active, std::size_t cols, std::size_t targets, const ridge_options & options);

/// Rows of positive weight.
std::size_t active_rows(const ridge_problem & problem);

/// primal or dual, as the options and sizes have it.
ridge_form form_of(std::size_t active, std::size_t cols, const ridge_options & options);

/// Whether a list as long as this is solved from one reduction of the matrix rather than by a factor for each
/// (docs/ridge.md has the measurement).
bool reduces_once(const ridge_options & options);

/// Whether a Krylov space serves as that reduction, where it converges: few targets, and no diagnostics, which need the
/// whole matrix.
bool tries_krylov(const ridge_options & options, std::size_t targets);

/// The steps of Lanczos' method on the rows that a solve may take: as many as cost no more than forming and factoring
/// the matrix would. 0 where it is not to be tried.
std::size_t row_steps(std::size_t active, std::size_t cols, std::size_t targets, const ridge_options & options);

/// Whether `automatic` precision is float32: its factor then refines well at any of the penalties. `trace` is tr(G).
bool single_suffices(const ridge_options & options, double trace, std::size_t cols);

/// "1.5 GB", for messages.
std::string bytes_text(double bytes);

/// Throws OUT_OF_MEMORY with both figures where `needed` exceeds `limit` (0: none).
void check_memory(std::size_t needed, std::size_t limit);

/// Throws NOT_FINITE where coefficients or intercepts are beyond float64.
void check_solution(const ridge_solution & solution);

/// Throws SINGULAR_MATRIX saying so of `rows` rows in `cols` dimensions.
[[noreturn]] void refuse_singular(std::size_t rows, std::size_t cols, double alpha);

}  // namespace llama_steer::ridge
