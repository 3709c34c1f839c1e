// What a ridge fit makes of a direction planted in Gaussian noise, from random matrix theory rather than from samples.
//
// v = (S + lambda I)^-1 (mu_R - mu_C), S the covariance of N rows of population Sigma with eigenvalues s_i. For large N
// and d
//
//   lambda (S + lambda I)^-1 ~ kappa (Sigma + kappa I)^-1,     lambda = kappa (1 - sum s_i / (s_i + kappa) / N)
//   lambda^2 (S + lambda I)^-1 (S + lambda I)^-1 ~ kappa^2 (Sigma + kappa I)^-2
//       + kappa^2 Sigma (Sigma + kappa I)^-2 sum s_i / (s_i + kappa)^2 / (N - sum s_i^2 / (s_i + kappa)^2)
//
// Source: Bach, SIAM J. Mathematics of Data Science 6 (2024), arXiv 2303.01372, section 4, after Dobriban and Wager,
// Annals of Statistics 46 (2018). The means' error is independent of S.
#pragma once

#include <cmath>
#include <cstddef>
#include <functional>
#include <vector>

namespace llama_steer::reference {

struct planted_theory {
    double shift = 0;               ///< of the means, along the first eigenvector of Sigma
    double noise = 0;               ///< covariance of the means' difference over Sigma's
    double rows = 0;                ///< N, effective
    std::vector<double> variances;  ///< s_i

    double sum(const std::function<double(double)> & of) const {
        double all = 0;
        for (const double s : variances) all += of(s);
        return all;
    }

    /// The lambda of the shrinkage that OAS is to be expected to find (scikit-learn's formula).
    double oas_lambda() const {
        const double d = double(variances.size()), trace = sum([](double s) { return s; });
        const double left = (rows - 1) / rows;  // of the variance, around the sample's own mean
        const double squares = sum([](double s) { return s * s; }) * left * left + trace * trace * left / rows;
        const double mu = trace * left / d, alpha = squares / d / d;
        const double shrinkage = std::fmin(1, (alpha + mu * mu) / ((rows + 1) * (alpha - mu * mu / d)));
        return shrinkage / (1 - shrinkage) * mu;
    }

    double kappa(double lambda) const {
        double low = 1e-12, high = lambda + sum([](double s) { return s; }) / rows + 1;
        for (int i = 0; i < 200; i++) {
            const double k = std::sqrt(low * high);
            const double got = k * (1 - sum([&](double s) { return s / (s + k); }) / (rows - 1));
            (got < lambda ? low : high) = k;
        }
        return high;
    }

    /// Of v with the planted direction.
    double cosine(double lambda) const {
        const double k = kappa(lambda * rows / (rows - 1));
        double size = 0, spread = 0;
        for (std::size_t i = 0; i < variances.size(); i++) {
            const double s = variances[i], part = noise * s + (i == 0 ? shift * shift : 0);
            size += part / ((s + k) * (s + k));
            spread += part * s / ((s + k) * (s + k));
        }
        const double left = rows - 1 - sum([&](double s) { return s * s / ((s + k) * (s + k)); });
        size += spread * sum([&](double s) { return s / ((s + k) * (s + k)); }) / left;
        return shift / (variances[0] + k) / std::sqrt(size);
    }
};

}  // namespace llama_steer::reference
