#include "separation.h"

#include <algorithm>
#include <cmath>
#include <cstddef>
#include <functional>
#include <limits>
#include <numeric>

namespace llama_steer::ridge {

namespace {

constexpr double undefined = std::numeric_limits<double>::quiet_NaN();

double mean_of(const std::vector<double> & x) { return std::accumulate(x.begin(), x.end(), 0.0) / double(x.size()); }

double squares_around(const std::vector<double> & x, double center) {
    double sum = 0;
    for (const double value : x) sum += (value - center) * (value - center);
    return sum;
}

std::vector<double> ranks(const std::vector<double> & x) {
    std::vector<std::size_t> order(x.size());
    std::iota(order.begin(), order.end(), std::size_t(0));
    std::sort(order.begin(), order.end(), [&](std::size_t a, std::size_t b) { return x[a] < x[b]; });
    std::vector<double> out(x.size());
    for (std::size_t first = 0, end = 0; first < order.size(); first = end) {
        while (end < order.size() && x[order[end]] == x[order[first]]) end++;
        for (std::size_t k = first; k < end; k++) out[order[k]] = double(first + end - 1) / 2;
    }
    return out;
}

}  // namespace

double area_under_curve(const std::vector<double> & a, const std::vector<double> & b) {
    if (a.empty() || b.empty()) return undefined;
    std::vector<double> sorted = b;
    std::sort(sorted.begin(), sorted.end());
    double wins = 0;
    for (const double value : a) {
        const auto range = std::equal_range(sorted.begin(), sorted.end(), value);
        wins += double(range.first - sorted.begin()) + 0.5 * double(range.second - range.first);
    }
    return wins / double(a.size()) / double(b.size());
}

double cohens_d(const std::vector<double> & a, const std::vector<double> & b) {
    if (a.empty() || b.empty() || a.size() + b.size() < 3) return undefined;
    const double mean_a = mean_of(a), mean_b = mean_of(b);
    const double squares = squares_around(a, mean_a) + squares_around(b, mean_b);
    if (squares == 0) {
        return mean_a == mean_b ? undefined : std::copysign(std::numeric_limits<double>::infinity(), mean_a - mean_b);
    }
    return (mean_a - mean_b) / std::sqrt(squares / double(a.size() + b.size() - 2));
}

double correlation(const std::vector<double> & x, const std::vector<double> & y) {
    if (x.empty()) return undefined;
    const double mean_x = mean_of(x), mean_y = mean_of(y);
    const double squares_x = squares_around(x, mean_x), squares_y = squares_around(y, mean_y);
    if (squares_x == 0 || squares_y == 0) return undefined;
    double products = 0;
    for (std::size_t i = 0; i < x.size(); i++) products += (x[i] - mean_x) * (y[i] - mean_y);
    return std::clamp(products / std::sqrt(squares_x) / std::sqrt(squares_y), -1.0, 1.0);
}

double rank_correlation(const std::vector<double> & x, const std::vector<double> & y) {
    return correlation(ranks(x), ranks(y));
}

double top_share(const std::vector<double> & v, double part) {
    std::vector<double> squares;
    for (const double value : v) squares.push_back(value * value);
    std::sort(squares.begin(), squares.end(), std::greater<double>());
    // Where rounding puts a whole number just above itself, it is not meant.
    const auto count = static_cast<std::ptrdiff_t>(std::ceil(part * double(v.size()) * (1 - 1e-12)));
    const double all = std::accumulate(squares.begin(), squares.end(), 0.0);
    return std::accumulate(squares.begin(), squares.begin() + count, 0.0) / all;
}

double participation_ratio(const std::vector<double> & v) {
    double second = 0, fourth = 0;
    for (const double value : v) {
        second += value * value;
        fourth += value * value * value * value;
    }
    return second * second / fourth;
}

}  // namespace llama_steer::ridge
