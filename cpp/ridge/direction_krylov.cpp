#include "direction_krylov.h"

#include "blas.h"
#include "builtin/builtin.h"

#include <algorithm>
#include <cmath>
#include <functional>
#include <limits>

namespace llama_steer::ridge {

namespace {

using vector = std::vector<double>;

constexpr double epsilon = std::numeric_limits<double>::epsilon();
constexpr double solution_error = 1e-10, eigenvector_residual = 1e-12;
constexpr std::size_t steps_between_checks = 8, eigenvector_steps = 200;
constexpr int eigenvector_restarts = 60;

double norm(const vector & x) { return std::sqrt(builtin::dot(x.size(), x.data(), x.data())); }

// Grows the space until `enough` says so, it is invariant, or it has `most` dimensions. The last of `below` is 0 for an
// invariant space.
krylov_space grow(const_matrix_f64 a, const vector & start, std::size_t most, const abort_check & aborted,
                  const std::function<bool(const krylov_space &)> & enough) {
    const std::size_t d = a.rows;
    most = std::min(most, d);
    krylov_space space;
    space.width = d;
    space.basis.reserve(most * d);
    vector next = start, shares(most);
    double length = norm(next), scale = 0;
    while (length > 0) {
        stop_if(aborted);
        for (const double value : next) space.basis.push_back(value / length);
        const std::size_t size = space.basis.size() / d;
        const double * last = space.basis.data() + (size - 1) * d;
        gemv(1, a, transpose::no, last, 0, next.data());
        space.diagonal.push_back(builtin::dot(d, last, next.data()));
        scale = std::max(scale, norm(next));
        const const_matrix_f64 basis(space.basis.data(), size, d);
        for (int pass = 0; pass < 2; pass++) {
            gemv(1, basis, transpose::no, next.data(), 0, shares.data());
            gemv(-1, basis, transpose::yes, shares.data(), 1, next.data());
        }
        length = norm(next);
        if (size == d || length <= 8 * epsilon * scale) length = 0;
        space.below.push_back(length);
        if (size == most || (size % steps_between_checks == 0 && enough(space))) break;
    }
    return space;
}

// (T + shift I) y = length * e_1 by elimination; T + shift I is positive definite.
vector solve_tridiagonal(const krylov_space & t, double shift, vector right) {
    const std::size_t n = t.size();
    vector pivots(n);
    pivots[0] = t.diagonal[0] + shift;
    for (std::size_t k = 1; k < n; k++) {
        const double factor = t.below[k - 1] / pivots[k - 1];
        pivots[k] = t.diagonal[k] + shift - factor * t.below[k - 1];
        right[k] -= factor * right[k - 1];
    }
    for (std::size_t k = n; k-- > 0;) {
        if (k + 1 < n) right[k] -= t.below[k] * right[k + 1];
        right[k] /= pivots[k];
    }
    return right;
}

// Whether sign * (bound I - T) is positive definite, which makes `bound` a bound of the eigenvalues of T.
bool bounds(const krylov_space & t, double bound, double sign) {
    double pivot = 1;
    for (std::size_t k = 0; k < t.size(); k++) {
        const double coupling = k == 0 ? 0 : t.below[k - 1] * t.below[k - 1];
        pivot = sign * (bound - t.diagonal[k]) - coupling / pivot;
        if (!(pivot > 0)) return false;
    }
    return true;
}

// The largest (sign 1) or smallest (sign -1) eigenvalue of T, from outside, by bisection.
double extreme_eigenvalue(const krylov_space & t, double sign) {
    double inside = t.diagonal[0], outside = t.diagonal[0];
    for (std::size_t k = 0; k < t.size(); k++) {
        const double left = k == 0 ? 0 : t.below[k - 1], right = k + 1 == t.size() ? 0 : t.below[k];
        const double radius = std::fabs(left) + std::fabs(right);
        outside = sign > 0 ? std::max(outside, t.diagonal[k] + radius) : std::min(outside, t.diagonal[k] - radius);
    }
    outside += sign * 4 * epsilon * std::fabs(outside);
    for (int step = 0; step < 200; step++) {
        const double middle = inside + (outside - inside) / 2;
        if (middle == inside || middle == outside) break;
        (bounds(t, middle, sign) ? outside : inside) = middle;
    }
    return outside;
}

// The unit eigenvector of T for `largest`, by inverse iteration from just outside.
vector eigenvector_of(const krylov_space & t, double largest) {
    krylov_space negated = t;
    for (auto & value : negated.diagonal) value = -value;
    for (auto & value : negated.below) value = -value;
    vector y(t.size(), 1.0);
    for (int step = 0; step < 4; step++) {
        y = solve_tridiagonal(negated, largest + 64 * epsilon * std::fabs(largest), y);
        const double length = norm(y);
        for (auto & value : y) value /= length;
    }
    return y;
}

}  // namespace

vector krylov_space::expand(const vector & y) const {
    vector out(width);
    gemv(1, {basis.data(), size(), width}, transpose::yes, y.data(), 0, out.data());
    return out;
}

shifted_solutions solve_shifted(const_matrix_f64 a, const vector & b, const vector & lambdas, std::size_t most_steps,
                                const abort_check & aborted) {
    const double length = norm(b);
    const auto coordinates = [&](const krylov_space & space, double lambda) {
        vector first(space.size());
        first[0] = length;
        return solve_tridiagonal(space, lambda, first);
    };
    const auto converged = [&](const krylov_space & space, double lambda, const vector & y) {
        return lambda > 0 && space.below.back() * std::fabs(y.back()) <= solution_error * lambda * norm(y);
    };
    const auto all_converged = [&](const krylov_space & space) {
        return std::all_of(lambdas.begin(), lambdas.end(), [&](double lambda) {
            return lambda == 0 || converged(space, lambda, coordinates(space, lambda));
        });
    };
    const krylov_space space = grow(a, b, most_steps, aborted, all_converged);
    const double largest = extreme_eigenvalue(space, 1), smallest = std::max(0.0, extreme_eigenvalue(space, -1));
    shifted_solutions solved;
    for (const double lambda : lambdas) {
        const vector y = lambda > 0 ? coordinates(space, lambda) : vector();
        solved.vectors.push_back(!y.empty() && converged(space, lambda, y) ? space.expand(y) : vector());
        solved.condition.push_back((largest + lambda) / (smallest + lambda));
    }
    return solved;
}

vector largest_eigenvector(const_matrix_f64 a, const vector & start, const abort_check & aborted) {
    // A start that the wanted vector has no share in would never find it: a little of everything is added.
    vector from = start;
    const double little = 1e-3 * norm(start) / std::sqrt(double(start.size()));
    for (std::size_t j = 0; j < from.size(); j++) from[j] += little * std::cos(1.0 + 2.4 * double(j));
    const auto residual = [](const krylov_space & space, const vector & y) {
        return space.below.back() * std::fabs(y.back());
    };
    for (int attempt = 0; attempt < eigenvector_restarts; attempt++) {
        double largest = 0;
        vector y;
        const auto solve = [&](const krylov_space & space) {
            largest = extreme_eigenvalue(space, 1);
            y = eigenvector_of(space, largest);
            return residual(space, y) <= eigenvector_residual * largest;
        };
        const krylov_space space = grow(a, from, eigenvector_steps, aborted, solve);
        const bool found = space.size() > 0 && solve(space);
        if (space.size() == 0 || !(largest > 0)) return {};
        from = space.expand(y);
        if (!found) continue;
        const double product = builtin::dot(from.size(), from.data(), start.data());
        if (product < 0) {
            for (auto & value : from) value = -value;
        }
        return from;
    }
    return {};
}

}  // namespace llama_steer::ridge
