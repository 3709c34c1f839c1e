#include "direction.h"

#include "base/error.h"
#include "blas.h"
#include "builtin/builtin.h"
#include "condition.h"
#include "finite.h"
#include "moments.h"
#include "score_classes.h"
#include "separation.h"

#include <cmath>
#include <limits>
#include <new>
#include <sstream>
#include <string>

namespace llama_steer::ridge {

namespace {

// Means of float32 data that differ by less than this share of their size differ by rounding only.
constexpr double coincidence = 1e-13;

using vector = std::vector<double>;

[[noreturn]] void refuse(error_code code, const std::string & message) { throw error(code, message); }

std::string number(double value) {
    std::ostringstream text;
    text << value;
    return text.str();
}

bool uses_covariance(preserve_mode mode) {
    return mode == preserve_mode::covariance_within || mode == preserve_mode::covariance_pooled;
}

void check_options(const direction_options & o) {
    if (!(o.lambda >= 0) || !std::isfinite(o.lambda)) {
        refuse(error_code::INVALID_ARGUMENT, "lambda is " + number(o.lambda) + ": it must be finite and >= 0");
    }
    if (!(o.threshold >= 0 && o.threshold < 1)) {
        refuse(error_code::INVALID_ARGUMENT, "threshold is " + number(o.threshold) + ": it must lie in [0, 1)");
    }
    if (o.method == direction_method::mean_difference && uses_covariance(o.preserve)) {
        refuse(error_code::INVALID_ARGUMENT,
               "mean_difference has no covariance for a preserve set to join: use "
               "project_out, or a ridge method");
    }
}

void check_preserve(const matrix_view & preserve, preserve_mode mode, std::size_t width) {
    const bool given = preserve.rows != 0 || preserve.data != nullptr;
    if (mode == preserve_mode::none) {
        if (given) refuse(error_code::INVALID_ARGUMENT, "a preserve set was given, but the mode says none");
        return;
    }
    if (!given) refuse(error_code::EMPTY_CLASS, "the mode asks for a preserve set, but it has no rows");
    check_view(preserve, "preserve");
    if (preserve.cols != width) {
        refuse(error_code::WIDTH_MISMATCH,
               "preserve rows have " + std::to_string(preserve.cols) + " columns, features " + std::to_string(width));
    }
    check_finite(preserve, "preserve");
}

vector difference(const vector & a, const vector & b) {
    vector out(a.size());
    for (std::size_t j = 0; j < a.size(); j++) out[j] = a[j] - b[j];
    return out;
}

double dot(const vector & a, const vector & b) { return builtin::dot(a.size(), a.data(), b.data()); }
double norm(const vector & a) { return std::sqrt(dot(a, a)); }

// One fit, step by step; the steps share what is below.
class fit {
public:
    fit(const matrix_view & features, const double * scores, const direction_options & options,
        const matrix_view & preserve, const abort_check & aborted)
        : features_(features),
          scores_(scores),
          options_(options),
          preserve_(preserve),
          aborted_(aborted),
          classes_(split_by_score(scores, features.rows, options)) {}

    direction run() {
        means();
        vector v = preserved_shift();
        if (options_.method != direction_method::mean_difference) solve(v);
        finish(v);
        return std::move(result_);
    }

private:
    void means() {
        mean_complying_ = weighted_mean(features_, classes_.complying);
        const vector mean_refusing = weighted_mean(features_, classes_.refusing);
        shift_ = difference(mean_refusing, mean_complying_);
        if (norm(shift_) <= coincidence * (norm(mean_refusing) + norm(mean_complying_))) {
            refuse(error_code::INVALID_ARGUMENT,
                   "the means of the refusing and the complying rows coincide: no direction "
                   "tells them apart");
        }
        if (options_.preserve != preserve_mode::none) {
            mean_preserve_ = weighted_mean(preserve_, all_rows(preserve_.rows));
        }
        stop_if(aborted_);
    }

    // mu_R - mu_C, without its component along mu_P - mu_C where that was asked for.
    vector preserved_shift() const {
        vector out = shift_;
        if (options_.preserve != preserve_mode::project_out) return out;
        const vector along = difference(mean_preserve_, mean_complying_);
        const double squared = dot(along, along);
        if (squared == 0) return out;
        // Twice: one pass leaves rounding in proportion to what it removed.
        for (int pass = 0; pass < 2; pass++) {
            builtin::axpy(out.size(), -dot(out, along) / squared, along.data(), out.data());
        }
        if (norm(out) <= coincidence * (norm(shift_) + norm(mean_complying_))) {
            refuse(error_code::INVALID_ARGUMENT,
                   "the refusing and the complying means differ only along the preserve set's "
                   "shift: projecting it out leaves no direction");
        }
        return out;
    }

    // The lower triangle of Sigma.
    void covariance(matrix_f64 sigma) const {
        const bool joined = uses_covariance(options_.preserve);
        add_covariance(features_, classes_.complying, mean_complying_, joined ? 0.5 : 1.0, sigma, aborted_);
        if (!joined) return;
        add_covariance(preserve_, all_rows(preserve_.rows), mean_preserve_, 0.5, sigma, aborted_);
        if (options_.preserve != preserve_mode::covariance_pooled) return;
        const vector between = difference(mean_preserve_, mean_complying_);
        syrk(0.25, {between.data(), 1, between.size()}, transpose::yes, 1, sigma);
    }

    // v := (Sigma + lambda I)^-1 v
    void solve(vector & v) {
        const std::size_t d = features_.cols;
        vector storage(d * d, 0.0);
        const matrix_f64 sigma(storage.data(), d, d);
        covariance(sigma);

        double trace = 0;
        for (std::size_t j = 0; j < d; j++) trace += sigma(j, j);
        result_.lambda = options_.unit == lambda_unit::absolute ? options_.lambda : options_.lambda * trace / double(d);
        for (std::size_t j = 0; j < d; j++) sigma(j, j) += result_.lambda;

        stop_if(aborted_);
        const double size = symmetric_norm1(sigma);
        const std::size_t failed = potrf(sigma);
        if (failed || smallest_pivot_share(sigma) <= rounding_share()) singular();
        stop_if(aborted_);
        result_.condition = condition_estimate(sigma, size);
        potrs(sigma, {v.data(), 1, d});
    }

    std::size_t covariance_rows() const {
        return classes_.complying.count() + (uses_covariance(options_.preserve) ? preserve_.rows : 0);
    }

    // What rounding leaves of a collinear column: elimination in proportion to d, summation (at random) to sqrt(rows).
    double rounding_share() const {
        const double steps = double(features_.cols) + 4 * std::sqrt(double(covariance_rows())) + 8;
        return steps * std::numeric_limits<double>::epsilon();
    }

    [[noreturn]] void singular() const {
        refuse(error_code::SINGULAR_MATRIX,
               "the covariance of " + std::to_string(covariance_rows()) + " rows in " + std::to_string(features_.cols) +
                   " dimensions is singular with lambda = " + number(result_.lambda) +
                   (options_.lambda == 0 ? ": set lambda above 0" : ": set a larger lambda"));
    }

    void finish(const vector & v) {
        const double length = norm(v);
        if (!(length > 0) || !std::isfinite(length)) {
            refuse(error_code::SINGULAR_MATRIX,
                   "the solution is too small or too large for float64: rescale the features "
                   "or choose another lambda");
        }
        // What is reported is reported of the float32 vector that will be used.
        vector used(v.size());
        result_.vector.resize(v.size());
        for (std::size_t j = 0; j < v.size(); j++) {
            result_.vector[j] = static_cast<float>(v[j] / length);
            used[j] = double(result_.vector[j]);
        }
        result_.gap = dot(used, shift_);
        result_.refusing = classes_.refusing.count();
        result_.complying = classes_.complying.count();
        result_.neutral = classes_.neutral;
        result_.preserved = preserve_.rows;
        result_.refusing_weight = classes_.refusing.total();
        result_.complying_weight = classes_.complying.total();
        measure(used);
    }

    void measure(const vector & v) {
        vector projections(features_.rows), row(features_.cols);
        for (std::size_t i = 0; i < features_.rows; i++) {
            row.assign(features_.row(i), features_.row(i) + features_.cols);
            projections[i] = dot(row, v);
        }
        const auto of = [&](const weighted_rows & rows) {
            vector out;
            for (const std::size_t i : rows.rows) out.push_back(projections[i]);
            return out;
        };
        const vector refusing = of(classes_.refusing), complying = of(classes_.complying);
        result_.auc = area_under_curve(refusing, complying);
        result_.cohens_d = ridge::cohens_d(refusing, complying);
        result_.correlation = ridge::correlation(projections, {scores_, scores_ + features_.rows});
    }

    const matrix_view & features_;
    const double * scores_;
    const direction_options & options_;
    const matrix_view & preserve_;
    const abort_check & aborted_;
    score_classes classes_;
    vector mean_complying_, mean_preserve_, shift_;
    direction result_;
};

}  // namespace

direction fit_direction(const matrix_view & features, const double * scores, std::size_t score_count,
                        const direction_options & options, const matrix_view & preserve, const abort_check & aborted) {
    check_options(options);
    check_view(features, "features");
    if (score_count != features.rows) {
        refuse(error_code::WIDTH_MISMATCH,
               std::to_string(score_count) + " scores for " + std::to_string(features.rows) + " rows of features");
    }
    if (!scores) refuse(error_code::INVALID_ARGUMENT, "no scores");
    check_preserve(preserve, options.preserve, features.cols);
    check_finite(features, "features");
    stop_if(aborted);
    try {
        return fit(features, scores, options, preserve, aborted).run();
    } catch (const std::bad_alloc &) {
        refuse(error_code::OUT_OF_MEMORY, "a fit in " + std::to_string(features.cols) + " dimensions needs " +
                                              std::to_string((features.cols * features.cols * 8 >> 20) + 32) + " MB");
    }
}

}  // namespace llama_steer::ridge
