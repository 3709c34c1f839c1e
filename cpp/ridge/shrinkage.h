// Shrinkage of a covariance S = G / W toward its mean eigenvalue, (1 - s) S + s tr(S) / d I, from sums over the rows
// alone. Equal weights give what scikit-learn's oas and ledoit_wolf give; otherwise n is Kish's effective number of
// rows, and Ledoit and Wolf's sum counts each row by its squared share of the weight.
#pragma once

#include <cstddef>

namespace llama_steer::ridge {

struct shrinkage_sums {
    double trace = 0;    ///< tr G
    double squared = 0;  ///< |G|_F^2
    double fourth = 0;   ///< sum w_i^2 |x_i - mu|^4
    double weight = 0;   ///< W = sum w_i
    double rows = 0;     ///< W^2 / sum w_i^2
    std::size_t cols = 0;
};

/// Chen, Wiesel, Eldar and Hero, IEEE Transactions on Signal Processing 58 (2010), eq. 23 as their own implementation
/// has it. In [0, 1].
double oas_shrinkage(const shrinkage_sums & sums);

/// Ledoit and Wolf, Journal of Multivariate Analysis 88 (2004), section 3.3. In [0, 1].
double ledoit_wolf_shrinkage(const shrinkage_sums & sums);

/// s / (1 - s), the lambda relative to tr(S) / d that a shrinkage comes to; 2^52 for 1, which leaves nothing of any
/// coefficient.
double lambda_of_shrinkage(double shrinkage);

}  // namespace llama_steer::ridge
