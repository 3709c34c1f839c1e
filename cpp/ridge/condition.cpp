#include "condition.h"

#include "blas.h"
#include "builtin/builtin.h"

#include <algorithm>
#include <cmath>
#include <limits>
#include <numeric>
#include <vector>

namespace llama_steer::ridge {

namespace {

double sum_of_magnitudes(const std::vector<double> & x) {
    double sum = 0;
    for (const double value : x) sum += std::fabs(value);
    return sum;
}

// Eight sums of a row, so that the compiler may use vectors for both directions.
template <typename real>
double norm1_of_lower(basic_matrix_view<const real> lower) {
    constexpr std::size_t lanes = 8;
    std::vector<double> sums(lower.rows, 0.0);
    for (std::size_t i = 0; i < lower.rows; i++) {
        const real * row = lower.row(i);
        double own[lanes] = {};
        std::size_t j = 0;
        for (; j + lanes <= i; j += lanes) {
            for (std::size_t lane = 0; lane < lanes; lane++) {
                const double value = std::fabs(double(row[j + lane]));
                own[lane] += value;
                sums[j + lane] += value;
            }
        }
        for (; j < i; j++) {
            own[0] += std::fabs(double(row[j]));
            sums[j] += std::fabs(double(row[j]));
        }
        sums[i] += std::fabs(double(row[i])) + std::accumulate(own, own + lanes, 0.0);
    }
    return sums.empty() ? 0 : *std::max_element(sums.begin(), sums.end());
}

}  // namespace

double symmetric_norm1(const_matrix_f64 lower) { return norm1_of_lower(lower); }
double symmetric_norm1(basic_matrix_view<const float> lower) { return norm1_of_lower(lower); }

double condition_estimate(const_matrix_f64 l, double norm1) {
    return condition_estimate(l.rows, norm1, [&](double * x) { potrs(l, {x, 1, l.rows}); });
}

double condition_estimate(std::size_t n, double norm1, const std::function<void(double *)> & solve_in_place) {
    constexpr int most_steps = 5;
    if (n == 0) return 0;
    const auto solve = [&](std::vector<double> & x) { solve_in_place(x.data()); };

    std::vector<double> x(n, 1.0 / double(n));
    double estimate = 0;
    std::size_t last = n;
    for (int step = 0; step < most_steps; step++) {
        solve(x);
        const double found = sum_of_magnitudes(x);
        if (step > 0 && !(found > estimate)) break;
        estimate = found;
        std::vector<double> z(n);
        for (std::size_t i = 0; i < n; i++) z[i] = x[i] >= 0 ? 1 : -1;
        solve(z);
        const auto steepest = static_cast<std::size_t>(
            std::max_element(z.begin(), z.end(), [](double a, double b) { return std::fabs(a) < std::fabs(b); }) -
            z.begin());
        if (steepest == last) break;
        last = steepest;
        x.assign(n, 0.0);
        x[steepest] = 1;
    }
    // Higham's second guess, for the rare matrices built to deceive the first.
    for (std::size_t i = 0; i < n; i++)
        x[i] = (i % 2 ? -1.0 : 1.0) * (1 + double(i) / double(std::max<std::size_t>(1, n - 1)));
    solve(x);
    estimate = std::max(estimate, 2 * sum_of_magnitudes(x) / (3 * double(n)));
    const double condition = estimate * norm1;
    return std::isfinite(condition) ? condition : std::numeric_limits<double>::infinity();
}

double smallest_pivot_share(const_matrix_f64 l) {
    double smallest = 1;
    for (std::size_t i = 0; i < l.rows; i++) {
        smallest = std::min(smallest, l(i, i) * l(i, i) / builtin::dot(i + 1, l.row(i), l.row(i)));
    }
    return smallest;
}

}  // namespace llama_steer::ridge
