#include "direction.h"

#include "base/error.h"
#include "builtin/builtin.h"
#include "direction_problem.h"
#include "direction_resampling.h"
#include "finite.h"
#include "score_classes.h"
#include "separation.h"

#include <algorithm>
#include <cmath>
#include <memory>
#include <new>
#include <sstream>
#include <string>

namespace llama_steer::ridge {

namespace {

using vector = std::vector<double>;

// With so many times fewer rows than dimensions a basis of the rows is cheaper than working in all dimensions.
constexpr std::size_t few_rows = 4;

[[noreturn]] void refuse(error_code code, const std::string & message) { throw error(code, message); }

std::string number(double value) {
    std::ostringstream text;
    text << value;
    return text.str();
}

void check_lambdas(const direction_options & o, const vector & lambdas) {
    if (lambdas.empty()) refuse(error_code::INVALID_ARGUMENT, "a fit needs a lambda, but the list of them is empty");
    for (const double lambda : lambdas) {
        if (lambda >= 0 && std::isfinite(lambda)) continue;
        refuse(error_code::INVALID_ARGUMENT, "lambda is " + number(lambda) + ": it must be finite and >= 0");
    }
    const bool without =
        o.method == direction_method::mean_difference || o.method == direction_method::principal_component;
    if (lambdas.size() > 1 && (without || o.rule != lambda_rule::given)) {
        refuse(error_code::INVALID_ARGUMENT, without ? "a list of lambdas was given to a method that has none"
                                                     : "either a list of lambdas or a rule that chooses one");
    }
    if (o.rule != lambda_rule::given && !has_covariance(o.method)) {
        refuse(error_code::INVALID_ARGUMENT,
               "a rule chooses lambda from the covariance of ridge and linear_discriminant fits: give this method a "
               "number");
    }
}

void check_options(const direction_options & o, const vector & lambdas) {
    check_lambdas(o, lambdas);
    if (!(o.threshold >= 0 && o.threshold < 1)) {
        refuse(error_code::INVALID_ARGUMENT, "threshold is " + number(o.threshold) + ": it must lie in [0, 1)");
    }
    if (!has_covariance(o.method) && joins_covariance(o.preserve)) {
        refuse(error_code::INVALID_ARGUMENT,
               "this method has no covariance for a preserve set to join: use project_out, or a ridge method");
    }
    if (o.resampling.folds == 1 || o.resampling.resamples == 1) {
        refuse(error_code::INVALID_ARGUMENT,
               "one fold or one resample tells nothing: ask for 2 or more, or 0 for none");
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

double dot(const vector & a, const vector & b) { return builtin::dot(a.size(), a.data(), b.data()); }
double norm(const vector & a) { return std::sqrt(dot(a, a)); }

bool reduces(std::size_t rows, std::size_t width, direction_method method) {
    return few_rows * rows <= width && method != direction_method::mean_difference;
}

// One fit, step by step; the steps share what is below.
class fit {
public:
    fit(const matrix_view & features, const double * scores, const direction_options & options, const vector & lambdas,
        const matrix_view & preserve, const abort_check & aborted, const fit_step & step)
        : features_(features),
          scores_(scores),
          options_(options),
          lambdas_(lambdas),
          preserve_(preserve),
          aborted_(aborted),
          step_(step),
          classes_(split_by_score(scores, features.rows, options)) {
        for (std::size_t i = 0; i < features.rows; i++) {
            if (std::fabs(scores[i]) <= options.threshold) neutral_.push_back(i);
        }
    }

    std::vector<direction> run() {
        pose();
        const auto solved = solve_directions(problem_, options_, lambdas_, aborted_);
        means();
        std::vector<direction> out;
        for (const auto & each : solved) out.push_back(finish(each));
        if (step_) step_();
        resample(out);
        return out;
    }

private:
    // The problem in the features' own dimensions, or in those that few rows span.
    void pose() {
        problem_.features = features_;
        problem_.preserve = preserve_;
        problem_.refusing = classes_.refusing;
        problem_.complying = classes_.complying;
        if (options_.preserve != preserve_mode::none) problem_.kept = all_rows(preserve_.rows);
        problem_.scores = scores_;
        problem_.width = features_.cols;
        const std::size_t rows = features_.rows - neutral_.size() + problem_.kept.count();
        if (!reduces(rows, features_.cols, options_.method)) return;
        basis_ = std::make_unique<row_basis>(features_.cols, rows);
        basis_->add(features_, problem_.refusing.rows);
        basis_->add(features_, problem_.complying.rows);
        basis_->add(preserve_, problem_.kept.rows);
        stop_if(aborted_);
        // Rows that are all alike span nothing; the means will say what is wrong with them.
        if (basis_->size() == 0) return;
        coordinates_ = basis_->coordinates(features_);
        problem_.features = const_matrix_f64(coordinates_.data(), features_.rows, basis_->size());
        if (problem_.kept.count()) {
            preserve_coordinates_ = basis_->coordinates(preserve_);
            problem_.preserve = const_matrix_f64(preserve_coordinates_.data(), preserve_.rows, basis_->size());
        }
        problem_.offset = norm(basis_->origin());
    }

    void means() {
        shift_ = weighted_mean(features_, classes_.refusing);
        const vector complying = weighted_mean(features_, classes_.complying);
        for (std::size_t j = 0; j < shift_.size(); j++) shift_[j] -= complying[j];
    }

    direction finish(const direction_solution & solved) const {
        const vector v = problem_.reduced() ? basis_->expand(solved.vector) : solved.vector;
        const double length = norm(v);
        if (!(length > 0) || !std::isfinite(length)) {
            refuse(error_code::SINGULAR_MATRIX,
                   "the solution is too small or too large for float64: rescale the features "
                   "or choose another lambda");
        }
        direction out;
        // What is reported is reported of the float32 vector that will be used.
        vector used(v.size());
        out.vector.resize(v.size());
        for (std::size_t j = 0; j < v.size(); j++) {
            out.vector[j] = static_cast<float>(v[j] / length);
            used[j] = double(out.vector[j]);
        }
        out.gap = dot(used, shift_);
        out.lambda = solved.lambda;
        out.shrinkage = solved.shrinkage;
        out.condition = solved.condition;
        out.refusing = classes_.refusing.count();
        out.complying = classes_.complying.count();
        out.neutral = classes_.neutral;
        out.preserved = preserve_.rows;
        out.refusing_weight = classes_.refusing.total();
        out.complying_weight = classes_.complying.total();
        out.in_sample = separation_of(project_rows(features_, used), scores_, classes_.refusing.rows,
                                      classes_.complying.rows, neutral_);
        out.top_shares = {top_share(used, 0.01), top_share(used, 0.05), top_share(used, 0.1)};
        out.participation = participation_ratio(used);
        return out;
    }

    void resample(std::vector<direction> & out) const {
        if (options_.resampling.folds) {
            const auto held_out = cross_validate(problem_, options_, lambdas_, neutral_, aborted_, step_);
            for (std::size_t i = 0; i < out.size(); i++) out[i].held_out = held_out[i];
        }
        if (options_.resampling.resamples) {
            const auto stability = bootstrap_stability(problem_, options_, lambdas_, aborted_, step_);
            for (std::size_t i = 0; i < out.size(); i++) out[i].stability = stability[i];
        }
    }

    const matrix_view & features_;
    const double * scores_;
    const direction_options & options_;
    const vector & lambdas_;
    const matrix_view & preserve_;
    const abort_check & aborted_;
    const fit_step & step_;
    score_classes classes_;
    std::vector<std::size_t> neutral_;
    direction_problem problem_;
    std::unique_ptr<row_basis> basis_;
    vector coordinates_, preserve_coordinates_, shift_;
};

}  // namespace

std::vector<direction> fit_direction_path(const matrix_view & features, const double * scores, std::size_t score_count,
                                          const direction_options & options, const vector & lambdas,
                                          const matrix_view & preserve, const abort_check & aborted,
                                          const fit_step & step) {
    check_options(options, lambdas);
    check_view(features, "features");
    if (score_count != features.rows) {
        refuse(error_code::WIDTH_MISMATCH,
               std::to_string(score_count) + " scores for " + std::to_string(features.rows) + " rows of features");
    }
    if (!scores) refuse(error_code::INVALID_ARGUMENT, "no scores");
    check_preserve(preserve, options.preserve, features.cols);
    check_finite(features, "features");
    stop_if(aborted);
    const auto bytes = [&] {
        return direction_bytes(features.rows, preserve.rows, features.cols, options, lambdas.size());
    };
    try {
        return fit(features, scores, options, lambdas, preserve, aborted, step).run();
    } catch (const std::bad_alloc &) {
        refuse(error_code::OUT_OF_MEMORY, "a fit in " + std::to_string(features.cols) + " dimensions needs " +
                                              std::to_string((bytes() >> 20) + 1) + " MB");
    }
}

direction fit_direction(const matrix_view & features, const double * scores, std::size_t score_count,
                        const direction_options & options, const matrix_view & preserve, const abort_check & aborted,
                        const fit_step & step) {
    return fit_direction_path(features, scores, score_count, options, {options.lambda}, preserve, aborted, step)
        .front();
}

std::size_t direction_bytes(std::size_t n, std::size_t m, std::size_t d, const direction_options & options,
                            std::size_t lambdas) {
    const std::size_t rows = n + m;
    const bool reduced = reduces(rows, d, options.method);
    const std::size_t width = reduced ? rows : d;
    const std::size_t basis = reduced ? rows * d + rows * rows : 0;
    const std::size_t chunk = std::min(rows, std::clamp<std::size_t>((std::size_t(1) << 20) / d, 256, 4096)) * width;
    const std::size_t square = width * width, small = std::min(n, width);
    const std::size_t krylov = std::min<std::size_t>(500, width) * width;
    std::size_t work = 0;
    switch (options.method) {
        case direction_method::mean_difference:
            break;
        case direction_method::principal_component:
            work = square + chunk + std::min<std::size_t>(200, width) * width;
            break;
        case direction_method::logistic:
            work = 2 * n * width + square;
            break;
        default:
            work = square + chunk + (lambdas > 1 ? square + krylov : 0);
    }
    if (options.rule == lambda_rule::leave_one_out) work += 2 * n * width + 2 * small * small + n * small;
    // Vectors: means and solutions of a fit and of one more, and lists of rows with their weights.
    const std::size_t vectors = (16 + 4 * lambdas) * d + 24 * rows;
    return (basis + work + vectors) * sizeof(double) + (std::size_t(1) << 20);
}

}  // namespace llama_steer::ridge
