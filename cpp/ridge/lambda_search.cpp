#include "lambda_search.h"

#include "base/error.h"

#include <algorithm>
#include <cmath>
#include <numeric>
#include <vector>

namespace llama_steer::ridge {

namespace {

double total_error(const fit_quality & one) { return std::accumulate(one.loo_error.begin(), one.loo_error.end(), 0.0); }

std::size_t least_of(const std::vector<fit_quality> & found) {
    std::size_t best = found.size();
    for (std::size_t i = 0; i < found.size(); i++) {
        if (std::isnan(total_error(found[i]))) continue;
        if (best == found.size() || total_error(found[i]) < total_error(found[best])) best = i;
    }
    if (best == found.size()) {
        throw error(error_code::INVALID_ARGUMENT,
                    "\"loo\" cannot choose: some row is predicted by no other, so give lambda as a number");
    }
    return best;
}

}  // namespace

double least_error_alpha(const ridge_rows & rows, const tridiagonal_system & system, const_matrix_f64 s) {
    if (rows.count() < 2) {
        throw error(error_code::INVALID_ARGUMENT, "\"loo\" needs at least two rows of positive weight");
    }
    if (!(system.facts().trace > 0)) refuse_singular(rows.count(), rows.cols(), 0);
    const double unit = system.facts().trace / double(rows.cols());
    double low = -6, high = 6, best = 0;
    for (const int points : {25, 21, 21, 21}) {
        std::vector<double> exponents, alphas;
        for (int i = 0; i < points; i++) exponents.push_back(low + (high - low) * i / (points - 1));
        for (const double e : exponents) alphas.push_back(unit * std::pow(10.0, e));
        const std::size_t at = least_of(system.measure(rows, alphas, s));
        best = exponents[at];
        low = exponents[at > 0 ? at - 1 : 0];
        high = exponents[std::min(at + 1, exponents.size() - 1)];
    }
    return unit * std::pow(10.0, best);
}

}  // namespace llama_steer::ridge
