#include "ridge_problem.h"

#include "base/error.h"
#include "finite.h"
#include "row_chunks.h"
#include "single.h"

#include <algorithm>
#include <cmath>
#include <sstream>

namespace llama_steer::ridge {

namespace {

[[noreturn]] void refuse(error_code code, const std::string & message) { throw error(code, message); }

// A list as long as this is cheaper from one tridiagonal reduction than by a factorization each.
constexpr std::size_t shortest_reduced_list = 10;

bool is_listed(const ridge_options & options) {
    return options.choice == lambda_choice::absolute || options.choice == lambda_choice::relative;
}

void check_weights(const ridge_problem & problem, bool is_part) {
    if (!problem.weights) return;
    check_finite(problem.weights, problem.features.rows, "weights");
    for (std::size_t i = 0; i < problem.features.rows; i++) {
        const double weight = problem.weights[i];
        if (weight == 0 || (weight >= 1e-100 && weight <= 1e100)) continue;
        refuse(error_code::INVALID_ARGUMENT, "weights[" + std::to_string(i) + "] is " +
                                                 (weight < 0 ? "negative" : "out of range") +
                                                 ": it must be 0, which leaves a row out, or from 1e-100 to 1e100");
    }
    if (!is_part && active_rows(problem) == 0) {
        refuse(error_code::EMPTY_CLASS, "all weights are 0: give at least one row a positive weight");
    }
}

void check_targets(const ridge_problem & problem) {
    for (std::size_t i = 0; i < problem.features.rows; i++) {
        for (std::size_t t = 0; t < problem.target_count; t++) {
            const double value = problem.targets[i * problem.target_count + t];
            if (std::isfinite(value)) continue;
            refuse(error_code::NOT_FINITE, "targets[row " + std::to_string(i) + ", column " + std::to_string(t) +
                                               "] is " + (std::isnan(value) ? "NaN" : "infinite"));
        }
    }
}

}  // namespace

void check_problem(const ridge_problem & problem, bool is_part) {
    const row_block & x = problem.features;
    if (x.rows == 0) refuse(error_code::INVALID_ARGUMENT, "features has no rows");
    if (x.cols == 0) refuse(error_code::INVALID_ARGUMENT, "features has no columns");
    if (problem.target_count == 0) refuse(error_code::INVALID_ARGUMENT, "there are no targets");
    check_block(x);
    if (!problem.targets) refuse(error_code::INVALID_ARGUMENT, "targets has no data");
    check_targets_and_weights(problem, is_part);
    for (std::size_t i = 0; i < x.rows; i++) {
        visit_row(x, i, [&](const auto * from) { check_finite_row(from, x.cols, x.number + i, "features"); });
    }
}

void check_targets_and_weights(const ridge_problem & problem, bool is_part) {
    check_weights(problem, is_part);
    check_targets(problem);
}

void check_options(const ridge_options & options) {
    if (!is_listed(options)) return;
    if (options.lambdas.empty()) refuse(error_code::INVALID_ARGUMENT, "lambda is an empty list: give one or more");
    for (const double lambda : options.lambdas) {
        if (lambda >= 0 && std::isfinite(lambda)) continue;
        std::ostringstream text;
        text << "lambda is " << lambda << ": it must be finite and >= 0";
        refuse(error_code::INVALID_ARGUMENT, text.str());
    }
}

std::size_t active_rows(const ridge_problem & problem) {
    if (!problem.weights) return problem.features.rows;
    const double * end = problem.weights + problem.features.rows;
    return static_cast<std::size_t>(std::count_if(problem.weights, end, [](double w) { return w > 0; }));
}

ridge_form form_of(std::size_t active, std::size_t cols, const ridge_options & options) {
    if (options.form != ridge_form::smaller) return options.form;
    return cols <= active ? ridge_form::primal : ridge_form::dual;
}

bool reduces_once(const ridge_options & options) {
    if (options.choice == lambda_choice::leave_one_out) return true;
    return is_listed(options) && options.lambdas.size() >= shortest_reduced_list &&
           options.precision != ridge_precision::f32;
}

bool tries_krylov(const ridge_options & options, std::size_t targets) {
    // A space costs as much as 3 to 4 factorizations, a tridiagonal reduction 8 to 15.
    constexpr std::size_t most_targets = 3;
    return reduces_once(options) && options.choice != lambda_choice::leave_one_out && !options.diagnostics &&
           targets <= most_targets;
}

std::size_t ridge_bytes(std::size_t active, std::size_t cols, std::size_t targets, const ridge_options & options) {
    const double n = double(active), d = double(cols), k = double(targets);
    const bool primal = form_of(active, cols, options) == ridge_form::primal;
    const bool single = options.precision == ridge_precision::f32 && single::available(),
               reduced = reduces_once(options);
    const double order = primal ? d : n, path = reduced ? 1 : double(options.lambdas.size());
    // A list of few is factored one by one from a kept Gram matrix.
    const double matrices = path > 1 ? 2 : tries_krylov(options, targets) ? (order > 1024 ? 1.25 : 2) : 1;
    const double solutions = 4 * k * (n + d) * (reduced ? 1 + double(options.lambdas.size()) : 1);
    // Rows on their way: chunks of row_chunks.h; in the dual panels of columns, and rows of the inverse.
    const double million = double(std::size_t(1) << 20);
    const double chunk = std::min(n, double(chunk_rows(cols, sizeof(double)))) * d;
    const double panel = n * std::max(256.0, std::min(d, std::clamp(std::min(million / n, n), 256.0, 4096.0)));
    const double rows = primal ? chunk : std::max(chunk, panel);
    const double basis = d * k * double(row_steps(active, cols, targets, options) + 2);
    const double matrix = order * order * matrices * (single ? 0.5 : 1);
    const double bytes =
        8 * (std::max(matrix, basis) + solutions + 3 * rows + 6 * (n + d)) + double(options.copied_bytes);
    if (bytes > 4e18) refuse(error_code::OUT_OF_MEMORY, "the fit needs " + bytes_text(bytes));
    return static_cast<std::size_t>(bytes);
}

std::size_t row_steps(std::size_t active, std::size_t cols, std::size_t targets, const ridge_options & options) {
    // What a pass costs for each number of the features, in operations at the rate of a float64 product of matrices.
    constexpr double pass_cost = 20;
    constexpr std::size_t most_targets = 3;
    const bool possible = is_listed(options) && !options.diagnostics && options.form == ridge_form::smaller &&
                          options.precision != ridge_precision::f32 && targets <= most_targets;
    if (!possible || options.method == ridge_method::matrix) return 0;
    const double least = double(std::min(active, cols)), most = double(std::max(active, cols));
    if (options.method == ridge_method::rows) return std::size_t(least) + 1;
    const bool path = reduces_once(options),
               single = !path && single::available() && options.precision == ridge_precision::automatic;
    // A matrix costs least operations for each number of the features, a factor a third of its order cubed; a reduction
    // as much as four factors.
    const double factors = path ? 4 : double(options.lambdas.size());
    const double matrix = (least + factors * least * least / (3 * most)) * (single ? 0.5 : 1);
    const double steps = matrix / (pass_cost * double(targets));
    return steps < 32 ? 0 : std::size_t(steps);
}

bool single_suffices(const ridge_options & options, double trace, std::size_t cols) {
    // Each correction then leaves less than a tenth of the error.
    constexpr double largest_condition = 1e6;
    if (options.precision != ridge_precision::automatic || !single::available()) return false;
    if (!is_listed(options) || options.diagnostics || reduces_once(options)) return false;
    const double unit = options.choice == lambda_choice::absolute ? 1 : trace / double(cols);
    const double least = *std::min_element(options.lambdas.begin(), options.lambdas.end()) * unit;
    return trace + least <= largest_condition * least;
}

std::string bytes_text(double bytes) {
    std::ostringstream text;
    text.precision(3);
    if (bytes >= 1e9) {
        text << bytes / 1e9 << " GB";
    } else {
        text << bytes / 1e6 << " MB";
    }
    return text.str();
}

void check_memory(std::size_t needed, std::size_t limit) {
    if (limit == 0 || needed <= limit) return;
    refuse(error_code::OUT_OF_MEMORY, "the fit needs " + bytes_text(double(needed)) + " (" + std::to_string(needed) +
                                          " bytes), and memoryLimit allows " + bytes_text(double(limit)) + " (" +
                                          std::to_string(limit) + " bytes): raise it, or fit fewer columns");
}

void check_solution(const ridge_solution & solution) {
    const auto finite = [](double value) { return std::isfinite(value); };
    const auto all_finite = [&](const std::vector<double> & values) {
        return std::all_of(values.begin(), values.end(), finite);
    };
    if (all_finite(solution.coefficients) && all_finite(solution.intercept)) return;
    refuse(error_code::NOT_FINITE, "the solution is too large for float64: rescale the targets or the features");
}

void refuse_singular(std::size_t rows, std::size_t cols, double alpha) {
    std::ostringstream text;
    text << "the system of " << rows << " rows in " << cols << " dimensions is singular with alpha = " << alpha
         << (alpha > 0 ? ": set a larger lambda" : ": set lambda above 0");
    refuse(error_code::SINGULAR_MATRIX, text.str());
}

}  // namespace llama_steer::ridge
