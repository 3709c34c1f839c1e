#include "ridge_accumulator.h"

#include "base/error.h"
#include "blas.h"
#include "builtin/builtin.h"
#include "finite.h"
#include "ridge_factor.h"
#include "shrinkage.h"

#include <algorithm>
#include <cmath>
#include <limits>
#include <new>
#include <string>
#include <utility>

namespace llama_steer::ridge {

namespace {

[[noreturn]] void refuse(error_code code, const std::string & message) { throw error(code, message); }

void same_width(std::size_t given, std::size_t own, const char * what) {
    if (given == own) return;
    refuse(error_code::WIDTH_MISMATCH,
           std::to_string(given) + " " + what + " do not fit an accumulator of " + std::to_string(own));
}

std::size_t bytes_needed(std::size_t width) { return 8 * width * (width + 2); }

}  // namespace

ridge_accumulator::ridge_accumulator(std::size_t cols, std::size_t targets, std::size_t memory_limit)
    : cols_(cols), targets_(targets) {
    if (cols == 0 || targets == 0 || cols > largest_width || targets > largest_width) {
        refuse(error_code::INVALID_ARGUMENT, "an accumulator needs 1 to 2^30 columns and as many targets");
    }
    check_memory(bytes_needed(width()), memory_limit);
    try {
        mean_.assign(width(), 0.0);
        shift_.assign(width(), 0.0);
        sums_.assign(width() * width(), 0.0);
    } catch (const std::exception &) {  // bad_alloc, length_error
        refuse(error_code::OUT_OF_MEMORY, "an accumulator of " + std::to_string(width()) + " columns needs " +
                                              bytes_text(double(bytes_needed(width()))) + ", which could not be had");
    }
}

/// The moments of the rows of one call, on their way in.
struct ridge_accumulator::part {
    std::size_t width, cols, count = 0;
    double total = 0, squares = 0;
    std::vector<double> mean, second;

    part(const ridge_problem & problem, const abort_check & aborted, const std::function<void(double)> & progress)
        : width(problem.features.cols + problem.target_count), cols(problem.features.cols), mean(width, 0.0) {
        find_mean(problem, aborted);
        second.assign(width * width, 0.0);
        sum(problem, aborted, progress);
    }

    static double weight(const ridge_problem & p, std::size_t i) { return p.weights ? p.weights[i] : 1; }

    void write(const ridge_problem & p, std::size_t i, float * room, double * out) const {
        const float * x = floats_of(p.features, i, room);
        std::copy_n(x, cols, out);
        std::copy_n(p.targets + i * p.target_count, p.target_count, out + cols);
    }

    void find_mean(const ridge_problem & p, const abort_check & aborted) {
        std::vector<double> row(width), origin(width);
        std::vector<float> room(cols);
        for (std::size_t i = 0; i < p.features.rows; i++) {
            if (i % 256 == 0) stop_if(aborted);
            const double w = weight(p, i);
            if (w == 0) continue;
            write(p, i, room.data(), row.data());
            if (count == 0) origin = row;
            for (std::size_t j = 0; j < width; j++) mean[j] += w * (row[j] - origin[j]);
            count++;
            total += w;
            squares += w * w;
        }
        for (std::size_t j = 0; j < width; j++) mean[j] = origin[j] + mean[j] / total;
    }

    void sum(const ridge_problem & p, const abort_check & aborted, const std::function<void(double)> & progress) {
        std::vector<float> room(cols);
        row_chunks chunks(p.features.rows, width);
        const auto write_row = [&](std::size_t i, double * out) {
            write(p, i, room.data(), out);
            const double root = std::sqrt(weight(p, i));
            for (std::size_t j = 0; j < width; j++) out[j] = root * (out[j] - mean[j]);
        };
        std::size_t done = 0;
        chunks.each(p.features.rows, write_row, [&](const_matrix_f64 chunk) {
            stop_if(aborted);
            syrk(1, chunk, transpose::yes, 1, {second.data(), width, width});
            done += chunk.rows;
            if (progress) progress(double(done) / double(p.features.rows));
        });
    }
};

void ridge_accumulator::add(const ridge_problem & problem, const abort_check & aborted,
                            const std::function<void(double)> & progress) {
    same_width(problem.features.cols, cols_, "columns");
    same_width(problem.target_count, targets_, "targets");
    check_problem(problem, true);
    if (active_rows(problem) == 0) return;
    try {
        const part rows(problem, aborted, progress);
        join(rows.count, rows.total, rows.squares, rows.mean.data(), rows.second.data());
    } catch (const std::bad_alloc &) {
        refuse(error_code::OUT_OF_MEMORY,
               "adding rows needs " + bytes_text(double(bytes_needed(width()))) + ", which could not be had");
    }
}

void ridge_accumulator::join(std::size_t count, double weight, double squares, const double * mean,
                             const double * second) {
    const double both = total_ + weight, share = weight / both, product = total_ * share;
    for (std::size_t j = 0; j < width(); j++) {
        shift_[j] = mean[j] - mean_[j];
        mean_[j] = total_ > 0 ? mean_[j] + share * shift_[j] : mean[j];
    }
    for (std::size_t i = 0; i < width(); i++) {
        double * row = &sums_[i * width()];
        if (second) builtin::axpy(i + 1, 1, second + i * width(), row);
        if (total_ > 0) builtin::axpy(i + 1, product * shift_[i], shift_.data(), row);
    }
    count_ += count;
    total_ = both;
    squares_ += squares;
}

void ridge_accumulator::add(const moments_accumulator & moments, std::size_t layer, std::size_t group,
                            const double * values) {
    same_width(moments.shape().width, cols_, "columns");
    if (moments.shape().second != second_moment::full) {
        refuse(error_code::INVALID_ARGUMENT, "a fit needs the full second moment, and these moments keep less");
    }
    check_finite(values, targets_, "values");
    const double * from = moments.mean(layer, group);
    const weight_sums sums = moments.sums(layer, group);
    std::vector<double> mean(from, from + cols_);
    mean.insert(mean.end(), values, values + targets_);
    join(sums.count, sums.weight, sums.squares, mean.data(), nullptr);
    // The targets are the same in all of these rows: they add nothing beyond the shift of the mean.
    const double * packed = moments.second(layer, group);
    for (std::size_t i = 0; i < cols_; i++) {
        builtin::axpy(i + 1, 1, packed_row(packed, cols_, i), &sums_[i * width()]);
    }
}

void ridge_accumulator::merge(const ridge_accumulator & other) {
    if (&other == this) refuse(error_code::INVALID_ARGUMENT, "an accumulator cannot be merged with itself");
    same_width(other.cols_, cols_, "columns");
    same_width(other.targets_, targets_, "targets");
    if (other.count_ > 0) {
        join(other.count_, other.total_, other.squares_, other.mean_.data(), other.sums_.data());
    }
}

/// The system of a solve: its matrix without alpha, its right sides, and what chooses lambda.
struct ridge_accumulator::system {
    bool intercept;
    std::vector<double> gram, right;  ///< [d, d] lower triangle, [k, d]
    shrinkage_sums sums;

    double unit() const { return sums.trace / double(sums.cols); }

    std::vector<double> alphas(const ridge_options & options, double & shrinkage) const {
        if (options.choice == lambda_choice::oas) {
            shrinkage = oas_shrinkage(sums);
            return {lambda_of_shrinkage(shrinkage) * unit()};
        }
        std::vector<double> out = options.lambdas;
        if (options.choice == lambda_choice::relative) {
            for (double & each : out) each *= unit();
        }
        return out;
    }
};

ridge_accumulator::system ridge_accumulator::system_of(bool intercept) const {
    const std::size_t d = cols_;
    system out{intercept, std::vector<double>(d * d), std::vector<double>(targets_ * d), {}};
    out.sums.weight = total_;
    out.sums.rows = total_ * total_ / squares_;
    out.sums.cols = d;
    const auto element = [&](std::size_t i, std::size_t j) {
        return second()(i, j) + (intercept ? 0 : total_ * mean_[i] * mean_[j]);
    };
    for (std::size_t i = 0; i < d; i++) {
        for (std::size_t j = 0; j <= i; j++) {
            const double value = out.gram[i * d + j] = element(i, j);
            out.sums.squared += (i == j ? 1 : 2) * value * value;
        }
        out.sums.trace += out.gram[i * d + i];
    }
    for (std::size_t t = 0; t < targets_; t++) {
        for (std::size_t j = 0; j < d; j++) out.right[t * d + j] = element(d + t, j);
    }
    return out;
}

namespace {

/// d - alpha tr (G + alpha I)^-1, by blocks of the inverse factor.
double freedom_of(const ridge_factor<double> & factor, std::size_t d, double alpha, const abort_check & aborted) {
    constexpr std::size_t block = 256;
    double trace = 0;
    std::vector<double> room;
    for (std::size_t from = 0; from < d; from += block) {
        stop_if(aborted);
        const std::size_t count = std::min(block, d - from), width = d - from;
        room.assign(count * width, 0.0);
        for (std::size_t i = 0; i < count; i++) room[i * width + i] = 1;
        factor.whiten({room.data(), count, width}, from);
        trace += builtin::dot(room.size(), room.data(), room.data());
    }
    return double(d) - alpha * trace;
}

}  // namespace

ridge_solution ridge_accumulator::solved(const system & of, std::vector<double> gram, double alpha,
                                         const ridge_options & options) const {
    const std::size_t d = cols_, k = targets_;
    const ridge_factor<double> factor(std::move(gram), d, alpha, count_);
    if (!factor.valid()) refuse_singular(count_, d, alpha);
    stop_if(options.aborted);
    ridge_solution out;
    out.coefficients = of.right;
    factor.solve({out.coefficients.data(), k, d});
    for (std::size_t t = 0; t < k; t++) {
        const double slope = builtin::dot(d, mean_.data(), &out.coefficients[t * d]);
        out.intercept.push_back(of.intercept ? mean_[d + t] - slope : 0);
    }
    check_solution(out);
    out.alpha = alpha;
    out.relative_lambda = of.unit() > 0 ? alpha / of.unit() : std::numeric_limits<double>::infinity();
    out.condition = factor.condition();
    out.degrees_of_freedom = options.diagnostics
                                 ? freedom_of(factor, d, alpha, options.aborted) + (of.intercept ? 1 : 0)
                                 : std::numeric_limits<double>::quiet_NaN();
    return out;
}

std::vector<ridge_solution> ridge_accumulator::solve(const ridge_options & options, bool intercept) const {
    check_options(options);
    if (options.choice == lambda_choice::leave_one_out || options.choice == lambda_choice::ledoit_wolf) {
        refuse(error_code::INVALID_ARGUMENT,
               "\"loo\" and \"ledoit-wolf\" need the rows, which an accumulator does not "
               "keep: give lambda as a number, or \"oas\"");
    }
    if (count_ == 0) refuse(error_code::EMPTY_CLASS, "no row of positive weight was added");
    const std::size_t needed = 8 * cols_ * cols_ * (options.lambdas.size() > 1 ? 2 : 1);
    check_memory(needed, options.memory_limit);
    try {
        system of = system_of(intercept);
        double shrinkage = std::numeric_limits<double>::quiet_NaN();
        const std::vector<double> alphas = of.alphas(options, shrinkage);
        std::vector<ridge_solution> out;
        for (const double alpha : alphas) {
            stop_if(options.aborted);
            const bool last = out.size() + 1 == alphas.size();
            out.push_back(solved(of, last ? std::move(of.gram) : of.gram, alpha, options));
            out.back().shrinkage = shrinkage;
            if (options.progress) options.progress(double(out.size()) / double(alphas.size()));
        }
        return out;
    } catch (const std::bad_alloc &) {
        refuse(error_code::OUT_OF_MEMORY, "the solve needs " + bytes_text(double(needed)) + ", which could not be had");
    }
}

}  // namespace llama_steer::ridge
