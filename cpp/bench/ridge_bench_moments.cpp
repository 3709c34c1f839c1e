// Times folding rows into running moments:
//
//   ridge_bench_moments [threads] [repetitions]      defaults: 1 thread, 7 repetitions
//
// Every round times each case once, in turn; figures are medians over rounds, and a ratio is the median of the ratios
// within each round. Floors: of a full second moment its flops, n d (d + 1), over the rate of the same round's gemm; of
// a diagonal reading the rows once. The rows of a case do not stay in the caches.

#include "bench/timing.h"

#include "base/error.h"
#include "ridge/blas.h"
#include "ridge/moments_accumulator.h"

#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <list>

using namespace llama_steer::ridge;
using namespace llama_steer::bench;

namespace {

constexpr std::size_t gemm_order = 1024;
constexpr double gemm_flops = 2.0 * double(gemm_order) * double(gemm_order) * double(gemm_order);

volatile std::uint32_t sink;

struct fold_problem {
    second_moment second;
    std::size_t d, n;
    std::vector<float> rows;
    moments_accumulator target;

    fold_problem(second_moment second_, std::size_t d_, std::size_t n_)
        : second(second_), d(d_), n(n_), rows(n_ * d_), target({{0}, 1, d_, second_}) {
        const auto values = random_values(n * d, unsigned(d + n));
        rows.assign(values.begin(), values.end());
    }

    void fold() { target.fold({{{rows.data(), llama_steer::element_type::f32, n, d, d}}, nullptr, 0, nullptr}); }

    void read() const {
        std::uint32_t sum = 0;
        for (const float & value : rows) {
            std::uint32_t bits;
            std::memcpy(&bits, &value, sizeof bits);
            sum += bits;
        }
        sink = sum;
    }

    std::string name() const {
        return std::string(second == second_moment::full ? "full" : "diagonal") + " d=" + std::to_string(d) +
               " n=" + std::to_string(n);
    }
};

int bench(std::size_t thread_count, std::size_t rounds) {
    set_threads(thread_count);
    std::printf("backend: %s (%s); %zu rounds\n", backend().c_str(), backend_detail().c_str(), rounds);
    const auto a = random_values(gemm_order * gemm_order, 3);
    std::vector<double> c(gemm_order * gemm_order);
    const const_matrix_f64 in(a.data(), gemm_order, gemm_order);
    const matrix_f64 out(c.data(), gemm_order, gemm_order);

    std::list<fold_problem> problems;
    for (const std::size_t n : {512, 4096}) problems.emplace_back(second_moment::full, 1024, n);
    for (const std::size_t n : {512, 8192}) problems.emplace_back(second_moment::full, 4096, n);
    problems.emplace_back(second_moment::diagonal, 1024, 32768);
    problems.emplace_back(second_moment::diagonal, 4096, 8192);

    std::vector<bench_case> cases;
    cases.push_back({"gemm", gemm_flops, nullptr, [=] { gemm(1, in, transpose::no, in, transpose::no, 0, out); }});
    for (auto & one : problems) {
        const double flops = double(one.n) * double(one.d) * double(one.d + 1);
        cases.push_back({one.name(), flops, nullptr, [&one] { one.fold(); }});
        cases.push_back({"reading", 0, nullptr, [&one] { one.read(); }});
    }
    for (auto & one : cases) time_once(one);
    for (std::size_t round = 0; round < rounds; round++) {
        for (auto & one : cases) one.seconds.push_back(time_once(one));
    }

    std::printf("gemm: %.1f Gflop/s\n", gemm_flops / quantile(cases[0].seconds, 0.5) * 1e-9);
    std::printf("| case | median ms | spread | rows/s | time / floor |\n| --- | --- | --- | --- | --- |\n");
    std::size_t at = 1;
    for (const auto & one : problems) {
        const bench_case & fold = cases[at++];
        const bench_case & read = cases[at++];
        std::vector<double> ratios;
        for (std::size_t r = 0; r < rounds; r++) {
            const double gemm_floor = fold.flops / gemm_flops * cases[0].seconds[r];
            ratios.push_back(fold.seconds[r] / (one.second == second_moment::full ? gemm_floor : read.seconds[r]));
        }
        const double median = quantile(fold.seconds, 0.5);
        const double spread = quantile(fold.seconds, 0.75) - quantile(fold.seconds, 0.25);
        std::printf("| %s | %.1f | %.1f %% | %.0f | %.2f |\n", one.name().c_str(), median * 1e3, 100 * spread / median,
                    double(one.n) / median, quantile(ratios, 0.5));
    }
    return 0;
}

}  // namespace

int main(int argc, char ** argv) {
    const long thread_count = argc > 1 ? std::strtol(argv[1], nullptr, 10) : 1;
    const long rounds = argc > 2 ? std::strtol(argv[2], nullptr, 10) : 7;
    if (thread_count < 1 || rounds < 1) {
        std::fprintf(stderr, "usage: ridge_bench_moments [threads >= 1] [repetitions >= 1]\n");
        return 2;
    }
    try {
        return bench(static_cast<std::size_t>(thread_count), static_cast<std::size_t>(rounds));
    } catch (const llama_steer::error & e) {
        std::fprintf(stderr, "%s: %s\n", llama_steer::error_code_name(e.code()), e.what());
        return 1;
    }
}
