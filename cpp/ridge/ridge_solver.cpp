#include "ridge_solver.h"

#include "base/error.h"
#include "krylov_path.h"
#include "lambda_search.h"
#include "lanczos.h"
#include "moments.h"
#include "ridge_factor.h"
#include "row_krylov.h"
#include "shrinkage.h"
#include "single.h"
#include "tridiagonal_system.h"

#include <algorithm>
#include <limits>
#include <memory>
#include <new>
#include <optional>
#include <utility>

namespace llama_steer::ridge {

namespace {

constexpr double rounding = std::numeric_limits<double>::epsilon();
constexpr double not_a_number = std::numeric_limits<double>::quiet_NaN();
// An error expected below it is left alone: refining takes another pass or two over the rows.
constexpr double refined_from = 1e-11;

// One call, step by step; the steps share what is below.
class solve_call {
public:
    solve_call(const ridge_problem & problem, const ridge_options & options)
        : options_(options), rows_(problem, options.aborted), form_(form_of(rows_.count(), rows_.cols(), options)) {}

    std::vector<ridge_solution> run() {
        const std::size_t steps = row_steps(rows_.count(), rows_.cols(), k(), options_);
        const bool may_be_single = options_.precision == ridge_precision::automatic && !options_.diagnostics;
        const double trace = steps > 0 || may_be_single ? rows_.trace() : 0;
        if (steps > 0) {
            std::vector<ridge_solution> out = run_rows(steps, trace);
            if (!out.empty()) return out;
        }
        if (single_suffices(options_, trace, rows_.cols())) {
            std::vector<ridge_solution> out = run_single();
            if (!out.empty()) return out;
        }
        if (options_.precision == ridge_precision::f32 && single_serves()) {
            std::vector<ridge_solution> out = run_single();
            if (!out.empty()) return out;
            notice_ = "float32 does not reach float64 accuracy here: the fit was made in float64";
        }
        if (options_.precision == ridge_precision::f32) check_double_memory();
        return run_double();
    }

private:
    std::size_t k() const { return rows_.targets(); }

    // A way that was tried in vain leaves its progress behind: the next is silent until it is further.
    void report(double fraction) const {
        if (!options_.progress || fraction <= reported_) return;
        reported_ = fraction;
        options_.progress(fraction);
    }

    bool single_serves() {
        if (!single::available()) {
            notice_ = "this build has no float32 kernels: the fit was made in float64";
        } else if (options_.choice != lambda_choice::absolute && options_.choice != lambda_choice::relative) {
            notice_ = "a lambda that the data choose needs float64: the fit was made in it";
        }
        return notice_.empty();
    }

    template <typename real>
    ridge_gram<real> gram() const {
        return make_gram<real>(rows_, form_, [this](double fraction) { report(fraction / 2); });
    }

    // ---- products with the rows ----

    /// Nothing where they do not serve.
    std::vector<ridge_solution> run_rows(std::size_t steps, double trace) const {
        gram_facts facts;
        facts.trace = trace;
        double unused = 0;
        const std::vector<double> alphas = chosen_alphas(facts, unused);
        const std::vector<double> found =
            solve_by_rows(rows_, alphas, steps, [this](double fraction) { report(fraction / 2); });
        if (found.empty()) return {};
        std::vector<ridge_solution> out = from_krylov(found, alphas, facts);
        for (ridge_solution & each : out) each.form = ridge_form::primal;
        return out;
    }

    std::vector<ridge_solution> from_krylov(const std::vector<double> & coefficients,
                                            const std::vector<double> & alphas, const gram_facts & facts) const {
        const std::size_t size = k() * rows_.cols();
        std::vector<ridge_solution> out;
        for (std::size_t i = 0; i < alphas.size(); i++) {
            const auto from = coefficients.begin() + std::ptrdiff_t(i * size);
            out.push_back(described({from, from + std::ptrdiff_t(size)}, alphas[i], facts));
            out.back().condition = condition_bound(facts.trace + facts.gamma, alphas[i]);
            out.back().solver = ridge_solver::lanczos;
        }
        report(1);
        return out;
    }

    // ---- float32 ----

    // The caller's limit was held against what float32 needs.
    void check_double_memory() const {
        ridge_options wide = options_;
        wide.precision = ridge_precision::f64;
        check_memory(ridge_bytes(rows_.count(), rows_.cols(), k(), wide), options_.memory_limit);
    }

    /// Nothing where float32 does not suffice.
    std::vector<ridge_solution> run_single() {
        ridge_gram<float> gram = this->gram<float>();
        const std::vector<double> right = right_sides(rows_, form_);
        std::vector<ridge_solution> out;
        for (const double lambda : options_.lambdas) {
            stop_if(options_.aborted);
            const bool last = out.size() + 1 == options_.lambdas.size();
            auto one =
                refined_single(last ? std::move(gram.values) : gram.values, gram, alpha_of(lambda, gram.facts), right);
            if (!one) return {};
            out.push_back(std::move(*one));
            report(0.5 + 0.5 * double(out.size()) / double(options_.lambdas.size()));
        }
        return out;
    }

    std::optional<ridge_solution> refined_single(std::vector<float> values, const ridge_gram<float> & gram,
                                                 double alpha, const std::vector<double> & right) const {
        const ridge_factor<float> factor(std::move(values), gram.order, alpha, summed_rows());
        if (!factor.valid()) return std::nullopt;
        std::vector<double> unknowns = right;
        const matrix_f64 x(unknowns.data(), k(), gram.order);
        factor.solve(x);
        const double condition = factor.condition();
        const refinement done = refine(
            rows_, form_, gram.facts.gamma, {alpha}, [&](matrix_f64 b) { factor.solve(b); }, 30, x);
        if (!(done.last <= std::max(1e-13, 16 * condition * rounding))) return std::nullopt;
        ridge_solution out = solution(unknowns, alpha, gram.facts);
        out.precision = ridge_precision::f32;
        out.condition = condition;
        out.refinements = done.steps;
        if (options_.diagnostics) add(out, measure(rows_, form_, alpha, gram.facts.gamma, factor, x));
        return out;
    }

    // ---- float64 ----

    std::vector<ridge_solution> run_double() {
        ridge_gram<double> gram = this->gram<double>();
        const std::vector<double> right = right_sides(rows_, form_);
        if (reduces_once(options_)) return run_reduced(std::move(gram), right);
        std::vector<ridge_solution> out;
        double shrinkage = not_a_number;
        const std::vector<double> alphas = chosen_alphas(gram.facts, shrinkage);
        for (const double alpha : alphas) {
            stop_if(options_.aborted);
            const bool last = out.size() + 1 == alphas.size();
            out.push_back(solved(last ? std::move(gram.values) : gram.values, gram, alpha, right));
            out.back().shrinkage = shrinkage;
            report(0.5 + 0.5 * double(out.size()) / double(alphas.size()));
        }
        return out;
    }

    ridge_solution solved(std::vector<double> values, const ridge_gram<double> & gram, double alpha,
                          const std::vector<double> & right) const {
        check_rank(alpha);
        const ridge_factor<double> factor(std::move(values), gram.order, alpha, summed_rows());
        if (!factor.valid()) refuse_singular(rows_.count(), rows_.cols(), alpha);
        std::vector<double> unknowns = right;
        const matrix_f64 x(unknowns.data(), k(), gram.order);
        factor.solve(x);
        const double condition = factor.condition();
        std::size_t refinements = 0;
        if (condition * rounding > refined_from) {
            refinements = refine(
                              rows_, form_, gram.facts.gamma, {alpha}, [&](matrix_f64 b) { factor.solve(b); }, 3, x)
                              .steps;
        }
        ridge_solution out = solution(unknowns, alpha, gram.facts);
        out.condition = condition;
        out.refinements = refinements;
        if (options_.diagnostics) add(out, measure(rows_, form_, alpha, gram.facts.gamma, factor, x));
        return out;
    }

    // ---- many lambdas from one reduction ----

    std::vector<ridge_solution> run_reduced(ridge_gram<double> gram, const std::vector<double> & right) {
        stop_if(options_.aborted);
        if (tries_krylov(options_, k())) {
            std::vector<ridge_solution> out = run_krylov(gram, right);
            if (!out.empty()) return out;
        }
        const tridiagonal_system system(std::move(gram));
        report(0.75);
        std::vector<double> basis_sides = right;
        const matrix_f64 s(basis_sides.data(), k(), system.order());
        system.to_basis(s);
        std::vector<double> alphas;
        if (options_.choice == lambda_choice::leave_one_out) {
            alphas = {least_error_alpha(rows_, system, s)};
        } else {
            double unused = 0;
            alphas = chosen_alphas(system.facts(), unused);
        }
        for (const double alpha : alphas) check_rank(alpha);
        std::vector<double> unknowns(alphas.size() * k() * system.order());
        const matrix_f64 x(unknowns.data(), alphas.size() * k(), system.order());
        system.solve(alphas, s, x, rows_.count(), rows_.cols());
        system.from_basis(x);
        const std::size_t refinements = refine_reduced(system, alphas, x);
        return reduced_solutions(system, alphas, s, unknowns, refinements);
    }

    /// Nothing where it does not converge; the lower triangle of `gram` stays as it is.
    std::vector<ridge_solution> run_krylov(ridge_gram<double> & gram, const std::vector<double> & right) const {
        double unused = 0;
        const std::vector<double> alphas = chosen_alphas(gram.facts, unused);
        for (const double alpha : alphas) check_rank(alpha);
        mirror_lower(gram.view());
        const std::size_t m = gram.order, count = alphas.size();
        std::vector<double> unknowns(count * k() * m);
        for (std::size_t t = 0; t < k(); t++) {
            const matrix_f64 x(&unknowns[t * m], count, m, k() * m);
            if (!krylov_path(gram.view(), &right[t * m], alphas, x, options_.aborted)) return {};
        }
        report(0.9);
        return from_krylov(coefficients_of(rows_, form_, unknowns), alphas, gram.facts);
    }

    std::size_t refine_reduced(const tridiagonal_system & system, const std::vector<double> & alphas,
                               matrix_f64 x) const {
        double worst = 0;
        for (const double alpha : alphas) worst = std::max(worst, system.condition(alpha));
        if (!(worst * rounding > refined_from)) return 0;
        const auto solve = [&](matrix_f64 b) {
            system.to_basis(b);
            system.solve_groups(alphas, b, rows_.count(), rows_.cols());
            system.from_basis(b);
        };
        return refine(rows_, form_, system.facts().gamma, alphas, solve, 3, x).steps;
    }

    std::vector<ridge_solution> reduced_solutions(const tridiagonal_system & system, const std::vector<double> & alphas,
                                                  const_matrix_f64 s, const std::vector<double> & unknowns,
                                                  std::size_t refinements) const {
        std::vector<fit_quality> qualities;
        if (options_.diagnostics) qualities = system.measure(rows_, alphas, s);
        const std::vector<double> coefficients = coefficients_of(rows_, form_, unknowns);
        const std::size_t size = k() * rows_.cols();
        std::vector<ridge_solution> out;
        for (std::size_t i = 0; i < alphas.size(); i++) {
            const auto from = coefficients.begin() + std::ptrdiff_t(i * size);
            out.push_back(described({from, from + std::ptrdiff_t(size)}, alphas[i], system.facts()));
            out.back().condition = system.condition(alphas[i]);
            out.back().solver = ridge_solver::tridiagonal;
            out.back().refinements = refinements;
            if (options_.diagnostics) add(out.back(), qualities[i]);
        }
        report(1);
        return out;
    }

    // ---- common ----

    double alpha_of(double lambda, const gram_facts & facts) const {
        return options_.choice == lambda_choice::absolute ? lambda : lambda * facts.trace / double(rows_.cols());
    }

    std::vector<double> chosen_alphas(const gram_facts & facts, double & shrinkage) const {
        std::vector<double> out;
        if (options_.choice == lambda_choice::absolute || options_.choice == lambda_choice::relative) {
            for (const double lambda : options_.lambdas) out.push_back(alpha_of(lambda, facts));
            return out;
        }
        const shrinkage_sums sums{facts.trace,          facts.squared,           facts.fourth,
                                  rows_.total_weight(), rows_.effective_count(), rows_.cols()};
        shrinkage = options_.choice == lambda_choice::oas ? oas_shrinkage(sums) : ledoit_wolf_shrinkage(sums);
        out.push_back(lambda_of_shrinkage(shrinkage) * facts.trace / double(rows_.cols()));
        return out;
    }

    /// Rows summed up in each element of the matrix.
    std::size_t summed_rows() const { return form_ == ridge_form::primal ? rows_.count() : rows_.cols(); }

    void check_rank(double alpha) const {
        const std::size_t rank = rows_.count() - (rows_.intercept() ? 1 : 0);
        if (!(alpha > 0) && rank < rows_.cols()) refuse_singular(rows_.count(), rows_.cols(), alpha);
    }

    ridge_solution solution(const std::vector<double> & unknowns, double alpha, const gram_facts & facts) const {
        return described(coefficients_of(rows_, form_, unknowns), alpha, facts);
    }

    ridge_solution described(std::vector<double> coefficients, double alpha, const gram_facts & facts) const {
        ridge_solution out;
        out.coefficients = std::move(coefficients);
        const std::size_t d = rows_.cols();
        for (std::size_t t = 0; t < k(); t++) {
            double at_origin = rows_.target_mean()[t];
            for (std::size_t j = 0; j < d; j++) at_origin -= rows_.mean()[j] * out.coefficients[t * d + j];
            out.intercept.push_back(rows_.intercept() ? at_origin : 0);
        }
        check_solution(out);
        if (options_.residuals) out.residuals = rows_.residuals(out.coefficients, out.intercept);
        out.alpha = alpha;
        out.relative_lambda = facts.trace > 0 ? alpha / (facts.trace / double(d)) : alpha / 0.0;
        out.shrinkage = out.degrees_of_freedom = not_a_number;
        out.form = form_;
        out.notice = notice_;
        return out;
    }

    static void add(ridge_solution & out, const fit_quality & quality) {
        out.degrees_of_freedom = quality.degrees_of_freedom;
        out.loo_error = quality.loo_error;
    }

    const ridge_options & options_;
    const ridge_rows rows_;
    const ridge_form form_;
    std::string notice_;
    mutable double reported_ = -1;
};

}  // namespace

std::vector<ridge_solution> solve_ridge(const ridge_problem & problem, const ridge_options & options) {
    check_options(options);
    check_problem(problem);
    stop_if(options.aborted);
    const std::size_t needed = ridge_bytes(active_rows(problem), problem.features.cols, problem.target_count, options);
    check_memory(needed, options.memory_limit);
    try {
        return solve_call(problem, options).run();
    } catch (const std::bad_alloc &) {
        throw error(error_code::OUT_OF_MEMORY,
                    "the fit needs " + bytes_text(double(needed)) + ", which could not be had");
    }
}

}  // namespace llama_steer::ridge
