// Times the solver's kernels against the floor that this build's own gemm rate sets, and the built-in kernels against
// the BLAS that was found:
//
//   ridge_kernels_bench [threads] [repetitions]      defaults: 1 thread, 7 repetitions
//
// Every round times each case once, one after the other, so that a machine that slows down slows all of them; a figure
// is the median over rounds, its spread the quartiles' distance over the median, and a ratio the median of the ratios
// within each round. Floor of a case: its flops (syrk n d (d + 1), potrf d^3 / 3) over the gemm rate of the same round.

#include "bench/timing.h"

#include "base/error.h"
#include "ridge/blas.h"
#include "ridge/builtin/builtin.h"
#include "ridge/direction.h"
#include "ridge/ridge_solver.h"

#include <algorithm>
#include <cmath>
#include <cstdio>
#include <cstdlib>
#include <functional>
#include <string>
#include <vector>

using namespace llama_steer::ridge;
using namespace llama_steer::bench;

namespace {

constexpr transpose no = transpose::no, yes = transpose::yes;
constexpr std::size_t gemm_order = 1024;

// One dimension's cases on one implementation.
struct problem {
    std::size_t d, n;
    std::vector<double> x, gram, work;

    problem(std::size_t d_, std::size_t n_) : d(d_), n(n_), x(random_values(n_ * d_, 1)), gram(d_ * d_), work(d_ * d_) {
        syrk(1, {x.data(), n, d}, yes, 0, {gram.data(), d, d});
        for (std::size_t i = 0; i < d; i++) gram[i * d + i] += double(n);
    }

    void add_to(std::vector<bench_case> & cases, bool builtin_kernels, std::size_t thread_count) {
        const std::string suffix = std::string(builtin_kernels ? " (builtin)" : "") + " d=" + std::to_string(d);
        const double nd = double(n), dd = double(d);
        const const_matrix_f64 in(x.data(), n, d);
        const matrix_f64 out(work.data(), d, d);
        cases.push_back({"syrk" + suffix + " n=" + std::to_string(n), nd * dd * (dd + 1), nullptr, [=] {
                             if (builtin_kernels) return builtin::syrk(1, in, yes, 0, out, thread_count);
                             syrk(1, in, yes, 0, out);
                         }});
        cases.push_back({"potrf" + suffix, dd * dd * dd / 3, [this] { work = gram; },
                         [=] {
                             if (builtin_kernels ? builtin::potrf(out, thread_count) : potrf(out)) std::abort();
                         }});
    }
};

struct fit_problem {
    std::size_t d, n;
    std::vector<float> features;
    std::vector<double> scores;

    fit_problem(std::size_t d_, std::size_t n_) : d(d_), n(n_) {
        const auto values = random_values(n * d, 2);
        features.assign(values.begin(), values.end());
        for (std::size_t i = 0; i < n; i++) scores.push_back(i % 2 ? 0.9 : -0.9);
    }
    bench_case fit() {
        return {"fit_direction wrmd d=" + std::to_string(d) + " n=" + std::to_string(n), 0, nullptr, [this] {
                    fit_direction({features.data(), n, d}, scores.data(), scores.size(), {});
                }};
    }
};

// Whole ridge regressions of one target, against the flops of their Gram matrix and one factorization.
struct solve_problem {
    std::size_t d, n;
    std::vector<float> features;
    std::vector<double> targets;

    solve_problem(std::size_t d_, std::size_t n_) : d(d_), n(n_), targets(random_values(n_, 5)) {
        const auto values = random_values(n * d, 4);
        features.assign(values.begin(), values.end());
    }

    void add_to(std::vector<bench_case> & cases) {
        ridge_options options;
        options.diagnostics = false;
        add(cases, "1 lambda", options);
        options.precision = ridge_precision::f32;
        add(cases, "1 lambda, float32", options);
        options.precision = ridge_precision::f64;
        options.lambdas.clear();
        for (int i = 0; i < 32; i++) options.lambdas.push_back(std::pow(10.0, -2 + i / 8.0));
        add(cases, "32 lambdas", options);
    }

private:
    void add(std::vector<bench_case> & cases, const std::string & what, const ridge_options & options) {
        const double least = double(std::min(n, d)), most = double(std::max(n, d));
        cases.push_back({"solve_ridge " + what + " d=" + std::to_string(d) + " n=" + std::to_string(n),
                         most * least * (least + 1) + least * least * least / 3, nullptr, [this, options] {
                             ridge_problem problem;
                             problem.features = {features.data(), llama_steer::element_type::f32, n, d, d, 0};
                             problem.targets = targets.data();
                             (void)solve_ridge(problem, options);
                         }});
    }
};

int bench(std::size_t thread_count, std::size_t rounds) {
    set_threads(thread_count);
    const bool found = backend().rfind("builtin", 0) != 0;
    std::printf("backend: %s (%s); built-in kernel: %s; %zu rounds\n", backend().c_str(), backend_detail().c_str(),
                builtin::best_kernel().name, rounds);

    const auto a = random_values(gemm_order * gemm_order, 3);
    std::vector<double> c(gemm_order * gemm_order);
    const const_matrix_f64 in(a.data(), gemm_order, gemm_order);
    const matrix_f64 out(c.data(), gemm_order, gemm_order);
    const double gemm_flops = 2.0 * double(gemm_order) * double(gemm_order) * double(gemm_order);

    problem small(896, 2000), large(2560, 2000);
    fit_problem fit_small(896, 600), fit_large(2560, 600);
    std::vector<bench_case> cases;
    cases.push_back({"gemm 1024", gemm_flops, nullptr, [=] { gemm(1, in, no, in, no, 0, out); }});
    small.add_to(cases, false, thread_count);
    large.add_to(cases, false, thread_count);
    cases.push_back(fit_small.fit());
    cases.push_back(fit_large.fit());
    solve_problem few(2560, 300), square(896, 2000), tall(896, 8000);
    for (auto * each : {&few, &square, &tall}) each->add_to(cases);
    const std::size_t first_builtin = cases.size();
    if (found) {
        cases.push_back({"gemm (builtin) 1024", gemm_flops, nullptr,
                         [=] { builtin::gemm(1, in, no, in, no, 0, out, thread_count); }});
        small.add_to(cases, true, thread_count);
        large.add_to(cases, true, thread_count);
    }

    for (auto & one : cases) time_once(one);
    for (std::size_t round = 0; round < rounds; round++) {
        for (auto & one : cases) one.seconds.push_back(time_once(one));
    }

    std::printf("| case | median ms | spread | Gflop/s | time / floor |\n| --- | --- | --- | --- | --- |\n");
    for (std::size_t i = 0; i < cases.size(); i++) {
        const auto & one = cases[i];
        const auto & gemm_seconds = cases[found && i >= first_builtin ? first_builtin : 0].seconds;
        const double median = quantile(one.seconds, 0.5);
        std::printf("| %s | %.2f | %.1f %% |", one.name.c_str(), median * 1e3,
                    100 * (quantile(one.seconds, 0.75) - quantile(one.seconds, 0.25)) / median);
        if (one.flops == 0) {
            std::printf(" | |\n");
            continue;
        }
        std::vector<double> ratios;
        for (std::size_t r = 0; r < rounds; r++)
            ratios.push_back(one.seconds[r] / (one.flops / gemm_flops * gemm_seconds[r]));
        std::printf(" %.1f | %.2f |\n", one.flops / median * 1e-9, quantile(ratios, 0.5));
    }
    if (found) {
        std::vector<double> ratios;
        for (std::size_t r = 0; r < rounds; r++)
            ratios.push_back(cases[0].seconds[r] / cases[first_builtin].seconds[r]);
        std::printf("built-in gemm reaches %.0f %% of the rate of %s\n", 100 * quantile(ratios, 0.5),
                    backend().c_str());
    }
    return 0;
}

}  // namespace

int main(int argc, char ** argv) {
    const long thread_count = argc > 1 ? std::strtol(argv[1], nullptr, 10) : 1;
    const long rounds = argc > 2 ? std::strtol(argv[2], nullptr, 10) : 7;
    if (thread_count < 1 || rounds < 1) {
        std::fprintf(stderr, "usage: ridge_kernels_bench [threads >= 1] [repetitions >= 1]\n");
        return 2;
    }
    try {
        return bench(static_cast<std::size_t>(thread_count), static_cast<std::size_t>(rounds));
    } catch (const llama_steer::error & e) {
        std::fprintf(stderr, "%s: %s\n", llama_steer::error_code_name(e.code()), e.what());
        return 1;
    }
}
