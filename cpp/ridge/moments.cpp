#include "moments.h"

#include "base/error.h"
#include "blas.h"
#include "row_chunks.h"

#include <algorithm>
#include <cmath>
#include <numeric>
#include <string>

namespace llama_steer::ridge {

namespace {

double checked_total(const row_set & features, const weighted_rows & chosen) {
    if (!features.doubles.data) check_view(features.floats, "features");
    if (chosen.rows.size() != chosen.weights.size()) {
        throw error(error_code::INVALID_ARGUMENT, std::to_string(chosen.rows.size()) + " rows but " +
                                                      std::to_string(chosen.weights.size()) + " weights");
    }
    for (std::size_t i = 0; i < chosen.count(); i++) {
        if (chosen.rows[i] >= features.rows()) {
            throw error(error_code::INVALID_ARGUMENT, "row " + std::to_string(chosen.rows[i]) + " of " +
                                                          std::to_string(features.rows()) + " was chosen");
        }
        if (!(chosen.weights[i] >= 0) || !std::isfinite(chosen.weights[i])) {
            throw error(error_code::INVALID_ARGUMENT, "weight " + std::to_string(i) + " is negative or not finite: " +
                                                          std::to_string(chosen.weights[i]));
        }
    }
    const double total = chosen.total();
    if (!(total > 0)) {
        throw error(error_code::EMPTY_CLASS, "no row of positive weight among " + std::to_string(chosen.count()));
    }
    return total;
}

}  // namespace

double weighted_rows::total() const { return std::accumulate(weights.begin(), weights.end(), 0.0); }

weighted_rows all_rows(std::size_t count) {
    weighted_rows all;
    all.rows.resize(count);
    std::iota(all.rows.begin(), all.rows.end(), std::size_t(0));
    all.weights.assign(count, 1.0);
    return all;
}

std::vector<double> weighted_mean(const row_set & features, const weighted_rows & chosen) {
    const double total = checked_total(features, chosen);
    const std::size_t d = features.cols();
    std::vector<double> mean(d, 0.0), origin(d), row(d);
    features.read(chosen.rows[0], origin.data());
    for (std::size_t i = 0; i < chosen.count(); i++) {
        features.read(chosen.rows[i], row.data());
        const double weight = chosen.weights[i];
        for (std::size_t j = 0; j < d; j++) mean[j] += weight * (row[j] - origin[j]);
    }
    for (std::size_t j = 0; j < d; j++) mean[j] = origin[j] + mean[j] / total;
    return mean;
}

void add_covariance(const row_set & features, const weighted_rows & chosen, const std::vector<double> & mean,
                    double scale, matrix_f64 sum, const abort_check & aborted) {
    const double total = checked_total(features, chosen);
    const std::size_t d = features.cols();
    row_chunks chunks(chosen.count(), d);
    const auto write_row = [&](std::size_t i, double * out) {
        features.read(chosen.rows[i], out);
        const double factor = std::sqrt(chosen.weights[i]);
        for (std::size_t j = 0; j < d; j++) out[j] = factor * (out[j] - mean[j]);
    };
    chunks.each(chosen.count(), write_row, [&](const_matrix_f64 chunk) {
        stop_if(aborted);
        syrk(scale / total, chunk, transpose::yes, 1, sum);
    });
}

moments weighted_moments(const matrix_view & features, const weighted_rows & chosen, const abort_check & aborted) {
    moments m;
    m.mean = weighted_mean(features, chosen);
    m.weight_sum = chosen.total();
    m.covariance.assign(features.cols * features.cols, 0.0);
    const matrix_f64 sigma(m.covariance.data(), features.cols, features.cols);
    add_covariance(features, chosen, m.mean, 1, sigma, aborted);
    mirror_lower(sigma);
    return m;
}

void mirror_lower(matrix_f64 a) {
    constexpr std::size_t tile = 32;
    for (std::size_t top = 0; top < a.rows; top += tile) {
        for (std::size_t left = 0; left <= top; left += tile) {
            for (std::size_t i = top; i < std::min(a.rows, top + tile); i++) {
                for (std::size_t j = left; j < std::min(i, left + tile); j++) a(j, i) = a(i, j);
            }
        }
    }
}

}  // namespace llama_steer::ridge
