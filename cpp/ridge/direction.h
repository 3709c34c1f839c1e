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
// with Sigma = Sigma_C. lambda is absolute, or relative to tr(Sigma) / d, the mean eigenvalue (of the Sigma below where
// a preserve set joins it).
//
// Not in the paper: the preserve set P, hidden states of requests whose refusal must survive (w_i = 1). It enters as
//
//   covariance_within    Sigma = (Sigma_C + Sigma_P) / 2
//   covariance_pooled    the same + (mu_P - mu_C)(mu_P - mu_C)^T / 4: the covariance of C and P taken as one, each
//   counting
//                        half. The direction avoids what tells P from C.
//   project_out          Sigma = Sigma_C, and mu_R - mu_C loses its component along mu_P - mu_C before the solve
//
// The vector points toward refusal: adding it raises refusal, subtracting it (a negative strength) lowers it.
#pragma once

#include "control.h"
#include "matrix_view.h"

#include <cstddef>
#include <vector>

namespace llama_steer::ridge {

enum class direction_method { mean_difference, ridge_mean_difference, weighted_ridge_mean_difference };

enum class preserve_mode { none, covariance_within, covariance_pooled, project_out };

enum class lambda_unit { relative, absolute };

struct direction_options {
    direction_method method = direction_method::weighted_ridge_mean_difference;
    preserve_mode preserve = preserve_mode::none;
    double lambda = 1.0;  ///< >= 0; mean_difference ignores it
    lambda_unit unit = lambda_unit::relative;
    double threshold = 0.1;  ///< [0, 1)
};

struct direction {
    std::vector<float> vector;  ///< [d], unit norm, toward refusal
    /// v^T (mu_R - mu_C) for this vector, in the features' unit: strength 1 * gap * vector moves the complying mean as
    /// far along the vector as the refusing mean lies. Positive, except that with project_out it may come out <= 0.
    double gap = 0;
    double lambda = 0;     ///< as used, absolute; 0 for mean_difference
    double condition = 0;  ///< estimated 1-norm condition number of Sigma + lambda I; 0 for mean_difference

    std::size_t refusing = 0, complying = 0, neutral = 0, preserved = 0;  ///< rows
    double refusing_weight = 0, complying_weight = 0;                     ///< sums of w_i

    /// Of the projections v^T x_i, in-sample. See separation.h for when they are NaN or infinite.
    double auc = 0;          ///< R against C
    double cohens_d = 0;     ///< R against C
    double correlation = 0;  ///< Pearson's with c_i, over all rows, neutral ones too
};

/// features [n, d] and scores [n]; preserve [m, d] if and only if options.preserve is not none (else an empty view).
/// Nothing is kept or changed. Needs d^2 float64 and 8 MB (mean_difference: neither). Callable from any thread.
///
/// Errors: INVALID_ARGUMENT (empty or badly strided views, a score outside [-1, 1], lambda or threshold out of range, a
/// preserve set without mode, a covariance mode with mean_difference, class means that coincide or differ only along
/// the preserve set's shift), WIDTH_MISMATCH (numbers of scores or columns), NOT_FINITE (with row and column),
/// EMPTY_CLASS (also a preserve mode without rows), SINGULAR_MATRIX (Sigma + lambda I is singular to within rounding),
/// OUT_OF_MEMORY, ABORTED.
direction fit_direction(const matrix_view & features, const double * scores, std::size_t score_count,
                        const direction_options & options, const matrix_view & preserve = {},
                        const abort_check & aborted = {});

}  // namespace llama_steer::ridge
