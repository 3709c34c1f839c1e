#include "direction_shrinkage.h"

#include "blas.h"
#include "builtin/builtin.h"

#include <algorithm>
#include <cmath>

namespace llama_steer::ridge {

namespace {

using vector = std::vector<double>;

// Rows of one class, around one mean, with their share of Sigma.
struct part {
    const row_set & set;
    const weighted_rows & chosen;
    const vector & mean;
    double share;
};

std::vector<part> parts_of(const direction_problem & p, const direction_options & o, const class_means & m) {
    const bool joined = joins_covariance(o.preserve);
    const double rest = joined ? 0.5 : 1.0;
    std::vector<part> parts;
    double complying = rest;
    if (o.method == direction_method::linear_discriminant) {
        const double weight = p.refusing.total() / (p.refusing.total() + p.complying.total());
        parts.push_back({p.features, p.refusing, m.refusing, rest * weight});
        complying = rest * (1 - weight);
    }
    parts.push_back({p.features, p.complying, m.complying, complying});
    if (joined) parts.push_back({p.preserve, p.kept, m.preserve, 0.5});
    return parts;
}

double squares_of_lower(const_matrix_f64 a) {
    double sum = 0;
    for (std::size_t i = 0; i < a.rows; i++) {
        sum += 2 * builtin::dot(i, a.row(i), a.row(i)) + a(i, i) * a(i, i);
    }
    return sum;
}

double fourth_moment(const part & from) {
    vector row(from.mean.size());
    double sum = 0;
    for (std::size_t i = 0; i < from.chosen.count(); i++) {
        from.set.read(from.chosen.rows[i], row.data());
        double squared = 0;
        for (std::size_t j = 0; j < row.size(); j++) squared += (row[j] - from.mean[j]) * (row[j] - from.mean[j]);
        sum += from.chosen.weights[i] * squared * squared;
    }
    return sum / from.chosen.total();
}

}  // namespace

direction_covariance covariance_of(const direction_problem & p, const direction_options & o, const class_means & m,
                                   const abort_check & aborted) {
    const std::size_t d = p.cols();
    direction_covariance c;
    c.sigma.assign(d * d, 0.0);
    const matrix_f64 sigma(c.sigma.data(), d, d);
    double weight_squares = 0;
    for (const part & each : parts_of(p, o, m)) {
        add_covariance(each.set, each.chosen, each.mean, each.share, sigma, aborted);
        const double total = each.chosen.total();
        for (const double w : each.chosen.weights) weight_squares += std::pow(each.share * w / total, 2);
        if (o.rule == lambda_rule::ledoit_wolf) c.fourth += each.share * fourth_moment(each);
        c.rows += each.chosen.count();
    }
    c.effective = 1 / weight_squares;
    c.within_squares = squares_of_lower(sigma);
    if (joins_covariance(o.preserve) && o.preserve != preserve_mode::covariance_within) {
        vector between(d);
        for (std::size_t j = 0; j < d; j++) between[j] = m.preserve[j] - m.complying[j];
        syrk(0.25, {between.data(), 1, d}, transpose::yes, 1, sigma);
    }
    c.squares = squares_of_lower(sigma);
    for (std::size_t j = 0; j < d; j++) c.trace += sigma(j, j);
    return c;
}

double oas_shrinkage(const direction_covariance & c, std::size_t width) {
    const double d = double(width), mu = c.trace / d, alpha = c.squares / d / d;
    const double above = alpha + mu * mu, below = (c.effective + 1) * (alpha - mu * mu / d);
    return below > 0 ? std::min(1.0, above / below) : 1.0;
}

double ledoit_wolf_shrinkage(const direction_covariance & c, std::size_t width) {
    const double d = double(width), mu = c.trace / d;
    const double delta = c.squares - d * mu * mu, beta = (c.fourth - c.within_squares) / c.effective;
    if (!(beta > 0)) return 0;
    return delta > 0 ? std::min(1.0, beta / delta) : 1.0;
}

}  // namespace llama_steer::ridge
