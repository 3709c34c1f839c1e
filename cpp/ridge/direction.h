// Refusal directions: one unit vector per layer, fitted on hidden states x_i in R^d of prompts whose answers scored
// c_i in [-1, 1] (1: refuses, -1: complies). Source: "Refusal Steering", arXiv 2512.16602.
//
//   R = { i : c_i >  t }   refusing        C = { i : c_i < -t }   complying        t = threshold (the paper's 0.1)
//   mu_S    = sum_S w_i x_i / sum_S w_i
//   Sigma_S = sum_S w_i (x_i - mu_S)(x_i - mu_S)^T / sum_S w_i
//
//   mean_difference (MD)                    v = mu_R - mu_C                                 w_i = 1
//   ridge_mean_difference (RMD)             v = (Sigma + lambda I)^-1 (mu_R - mu_C)         w_i = 1
//   weighted_ridge_mean_difference (WRMD)   the same                                        w_i = |c_i|
//
// with Sigma = Sigma_C. For comparison, all with w_i = |c_i|:
//
//   linear_discriminant (LDA)   as WRMD, with the pooled Sigma = (W_R Sigma_R + W_C Sigma_C) / (W_R + W_C), W_S the sum
//                               of the w_i in S. Source: Hastie, Tibshirani, Friedman, Elements of Statistical
//                               Learning (2nd edition), section 4.3
//   principal_component (PCA)   the first principal component of the differences x_r - x_c of all pairs of R and C,
//                               around 0, each of weight w_r w_c: of Sigma_R + Sigma_C + delta delta^T with delta =
//                               mu_R - mu_C, which needs no pairs. Source: "Representation Engineering", arXiv
//                               2310.01405, there with pairs drawn at random. Its sign is that of v^T delta > 0
//   logistic                    see direction_logistic.h
//
// lambda is absolute, or relative to tr(Sigma) / d, the mean eigenvalue (of the Sigma below where a preserve set joins
// it), or chosen from the data: see direction_shrinkage.h.
//
// Not in the papers: the preserve set P, hidden states of requests whose refusal must survive (w_i = 1). It enters as
//
//   covariance_within    Sigma = (Sigma' + Sigma_P) / 2, Sigma' being that of the method
//   covariance_pooled    the same + (mu_P - mu_C)(mu_P - mu_C)^T / 4: for RMD and WRMD the covariance of C and P taken
//                        as one, each counting half. The direction avoids what tells P from C.
//   project_out          mu_R - mu_C loses its component along mu_P - mu_C before the solve; for PCA and logistic every
//                        row loses it
//   pooled_and_projected covariance_pooled and project_out
//
// The vector points toward refusal: adding it raises refusal, subtracting it (a negative strength) lowers it.
#pragma once

#include "control.h"
#include "matrix_view.h"

#include <array>
#include <cstddef>
#include <cstdint>
#include <functional>
#include <limits>
#include <vector>

namespace llama_steer::ridge {

enum class direction_method {
    mean_difference,
    ridge_mean_difference,
    weighted_ridge_mean_difference,
    principal_component,
    linear_discriminant,
    logistic
};

enum class preserve_mode { none, covariance_within, covariance_pooled, project_out, pooled_and_projected };

enum class lambda_unit { relative, absolute };

/// How lambda comes about: given, or chosen by a rule of direction_shrinkage.h.
enum class lambda_rule { given, oas, ledoit_wolf, leave_one_out };

/// Diagnostics that fit again: how a direction does on rows it was not fitted on, and how much it depends on the
/// sample.
struct resampling_options {
    std::size_t folds = 0;      ///< of the cross-validation; 0: none, else >= 2
    std::size_t resamples = 0;  ///< of the bootstrap; 0: none, else >= 2
    std::uint64_t seed = 1;     ///< the same everywhere
};

struct direction_options {
    direction_method method = direction_method::weighted_ridge_mean_difference;
    preserve_mode preserve = preserve_mode::none;
    double lambda = 1.0;  ///< >= 0; mean_difference and principal_component ignore it
    lambda_unit unit = lambda_unit::relative;
    lambda_rule rule = lambda_rule::given;  ///< any other makes `lambda` and `unit` count for nothing
    double threshold = 0.1;                 ///< [0, 1)
    resampling_options resampling;
};

/// How well projections tell the classes apart and follow the scores. See separation.h for when they are NaN or
/// infinite.
struct separation {
    double auc = 0;          ///< R against C
    double cohens_d = 0;     ///< R against C
    double correlation = 0;  ///< Pearson's with c_i, over all rows, neutral ones too
    double spearman = 0;     ///< the same of the ranks
};

struct direction {
    std::vector<float> vector;  ///< [d], unit norm, toward refusal
    /// v^T (mu_R - mu_C) for this vector, in the features' unit: strength 1 * gap * vector moves the complying mean as
    /// far along the vector as the refusing mean lies. Positive, except that with project_out it may come out <= 0.
    double gap = 0;
    /// As used, absolute; 0 where the method has none; infinite where a rule shrinks Sigma to the identity altogether.
    double lambda = 0;
    /// lambda / (lambda + tr(Sigma) / d): the share of the identity in what is inverted. 0 where there is no lambda.
    double shrinkage = 0;
    /// Estimated condition number of Sigma + lambda I (logistic: of the last Hessian): in the 1-norm, or for many
    /// lambdas at once in the 2-norm of what the solve met. 0 where nothing is solved.
    double condition = 0;

    std::size_t refusing = 0, complying = 0, neutral = 0, preserved = 0;  ///< rows
    double refusing_weight = 0, complying_weight = 0;                     ///< sums of w_i

    separation in_sample;  ///< of the rows that it was fitted on, which flatters it

    /// Share of |v|^2 in the largest 1 %, 5 % and 10 % of its elements (that many, rounded up).
    std::array<double, 3> top_shares{};
    /// (sum v_j^2)^2 / sum v_j^4: over how many elements the direction is spread, 1 to d.
    double participation = 0;

    /// Mean over the folds of what each says of the direction fitted on all others; NaN where none was asked for.
    separation held_out{unknown, unknown, unknown, unknown};
    /// Mean cosine between every two directions fitted on bootstrap samples; NaN where none was asked for.
    double stability = unknown;

    static constexpr double unknown = std::numeric_limits<double>::quiet_NaN();
};

/// Told after every fit (one, and one for each fold and resample), from the fitting thread.
using fit_step = std::function<void()>;

/// features [n, d] and scores [n]; preserve [m, d] if and only if options.preserve is not none (else an empty view).
/// Nothing is kept or changed. Needs what direction_bytes says. Callable from any thread.
///
/// Errors: INVALID_ARGUMENT (empty or badly strided views, a score outside [-1, 1], lambda or threshold out of range, a
/// preserve set without mode, a covariance mode or a rule with a method that has no covariance, class means that
/// coincide or differ only along the preserve set's shift, folds or resamples of 1), WIDTH_MISMATCH (numbers of scores
/// or columns), NOT_FINITE (with row and column), EMPTY_CLASS (also a preserve mode without rows, or a class with fewer
/// rows than folds), SINGULAR_MATRIX (Sigma + lambda I is singular to within rounding; logistic with lambda 0;
/// principal components that cannot be told apart), OUT_OF_MEMORY, ABORTED.
direction fit_direction(const matrix_view & features, const double * scores, std::size_t score_count,
                        const direction_options & options, const matrix_view & preserve = {},
                        const abort_check & aborted = {}, const fit_step & step = {});

/// The same for every one of `lambdas` (>= 0, in options.unit; options.lambda is ignored), in their order, from one
/// covariance. Many of them in many dimensions come from one Krylov space (direction_krylov.h). Errors as above;
/// INVALID_ARGUMENT also where there are none, or several for a method without lambda or beside a rule.
std::vector<direction> fit_direction_path(const matrix_view & features, const double * scores, std::size_t score_count,
                                          const direction_options & options, const std::vector<double> & lambdas,
                                          const matrix_view & preserve = {}, const abort_check & aborted = {},
                                          const fit_step & step = {});

/// Bytes that one such fit takes at most beside its arguments, for n x d features, m preserve rows and a number of
/// lambdas.
std::size_t direction_bytes(std::size_t n, std::size_t m, std::size_t d, const direction_options & options,
                            std::size_t lambdas = 1);

}  // namespace llama_steer::ridge
