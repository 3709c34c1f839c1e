// Directions: against the plain reference, on planted data, and over many layers.

#include "check.h"
#include "ridge_direction_reference.h"

#include "ridge/blas.h"
#include "ridge/directions.h"

#include <algorithm>
#include <atomic>
#include <set>

using namespace llama_steer;
using namespace llama_steer::ridge;
using reference::random_sample;

namespace {

constexpr auto md = direction_method::mean_difference;
constexpr auto rmd = direction_method::ridge_mean_difference;
constexpr auto wrmd = direction_method::weighted_ridge_mean_difference;

direction_options options_of(direction_method method, preserve_mode preserve = preserve_mode::none, double lambda = 1) {
    direction_options o;
    o.method = method;
    o.preserve = preserve;
    o.lambda = lambda;
    return o;
}

direction fitted(const reference::sample & s, const direction_options & o, const std::vector<float> & keep = {}) {
    const matrix_view kept = keep.empty() ? matrix_view() : matrix_view(keep.data(), keep.size() / s.d, s.d);
    return fit_direction({s.x.data(), s.n, s.d}, s.scores.data(), s.n, o, kept);
}

// float32 keeps 2^-24 of each element; the gap and lambda are float64 and show the solve itself.
void compare(const reference::sample & s, const direction_options & o, const std::vector<float> & keep = {}) {
    const auto expected = reference::direction(s, o, keep);
    const direction got = fitted(s, o, keep);
    CHECK_EQ(got.vector.size(), s.d);
    double worst = 0, largest = 0;
    for (std::size_t j = 0; j < s.d; j++) {
        worst = std::max(worst, std::fabs(got.vector[j] - expected.v[j]));
        largest = std::max(largest, std::fabs(expected.v[j]));
    }
    CHECK_NEAR(worst / largest, 0, 1e-7);
    CHECK_NEAR(got.gap, expected.gap, 1e-6 * std::fabs(expected.gap));
    CHECK_NEAR(got.lambda, expected.lambda, 1e-12 * expected.lambda);
    std::vector<double> v(got.vector.begin(), got.vector.end());
    CHECK_NEAR(reference::dot(v, v), 1, 1e-6);
}

std::vector<float> preserve_rows(std::size_t m, std::size_t d, unsigned seed) { return random_sample(m, d, seed).x; }

double cosine(const std::vector<float> & v, const std::vector<double> & truth) {
    double product = 0, vv = 0, tt = 0;
    for (std::size_t j = 0; j < v.size(); j++) {
        product += v[j] * truth[j];
        vv += double(v[j]) * v[j];
        tt += truth[j] * truth[j];
    }
    return product / std::sqrt(vv * tt);
}

}  // namespace

TEST(ridge_direction_equals_reference) {
    const std::size_t shapes[][2] = {{40, 1}, {40, 2}, {20, 65}, {64, 64}, {65, 129}, {300, 33}, {257, 128}, {60, 200}};
    for (const auto & shape : shapes) {
        const auto s = random_sample(shape[0], shape[1], 21);
        for (const auto method : {md, rmd, wrmd}) {
            for (const double lambda : {1e-3, 1.0, 30.0}) compare(s, options_of(method, preserve_mode::none, lambda));
        }
        auto absolute = options_of(wrmd, preserve_mode::none, 2.5);
        absolute.unit = lambda_unit::absolute;
        compare(s, absolute);
    }
}

TEST(ridge_direction_without_lambda_equals_reference) {
    compare(random_sample(500, 64, 22), options_of(wrmd, preserve_mode::none, 0));
    compare(random_sample(300, 65, 23), options_of(rmd, preserve_mode::none, 0));
}

TEST(ridge_preserve_modes_equal_reference) {
    const std::size_t shapes[][3] = {{40, 2, 3}, {30, 65, 20}, {200, 64, 50}, {257, 33, 1}};
    for (const auto & shape : shapes) {
        const auto s = random_sample(shape[0], shape[1], 24);
        const auto keep = preserve_rows(shape[2], shape[1], 25);
        for (const auto mode :
             {preserve_mode::covariance_within, preserve_mode::covariance_pooled, preserve_mode::project_out}) {
            compare(s, options_of(rmd, mode), keep);
            compare(s, options_of(wrmd, mode, 0.3), keep);
        }
        compare(s, options_of(md, preserve_mode::project_out), keep);
    }
}

TEST(ridge_solve_to_1e9_relative) {
    const auto s = random_sample(300, 100, 26);
    const auto o = options_of(wrmd, preserve_mode::none, 0.01);
    const auto expected = reference::direction(s, o, {});
    const direction got = fitted(s, o);
    // The gap is that of the float32 vector, so the reference is rounded alike.
    const auto shift_gap = [&] {
        std::vector<double> wr(s.n), wc(s.n);
        for (std::size_t i = 0; i < s.n; i++) {
            if (s.scores[i] > 0.1) wr[i] = s.scores[i];
            if (s.scores[i] < -0.1) wc[i] = -s.scores[i];
        }
        const auto mr = reference::mean(s.x, s.d, wr), mc = reference::mean(s.x, s.d, wc);
        double gap = 0;
        for (std::size_t j = 0; j < s.d; j++) gap += double(static_cast<float>(expected.v[j])) * (mr[j] - mc[j]);
        return gap;
    }();
    CHECK_NEAR(got.gap, shift_gap, 1e-9 * shift_gap);
    std::size_t equal = 0;
    for (std::size_t j = 0; j < s.d; j++) equal += got.vector[j] == static_cast<float>(expected.v[j]);
    CHECK_EQ(equal, s.d);
}

TEST(ridge_strided_rows_give_the_same) {
    const auto s = random_sample(90, 17, 27);
    std::vector<float> padded(90 * 20, NAN);
    for (std::size_t i = 0; i < 90; i++) std::copy_n(&s.x[i * 17], 17, &padded[i * 20]);
    const direction whole = fitted(s, {});
    const direction strided = fit_direction({padded.data(), 90, 17, 20}, s.scores.data(), 90, {});
    CHECK(whole.vector == strided.vector);
}

TEST(ridge_wrmd_finds_what_confounds_the_mean) {
    // Strong common noise along one direction: the mean difference of few samples catches it, the ridge discounts it.
    const std::size_t d = 64, n = 400;
    double gain = 0;
    for (unsigned seed = 30; seed < 35; seed++) {
        reference::gaussian next(seed);
        std::vector<double> planted(d), nuisance(d);
        for (std::size_t j = 0; j < d; j++) {
            planted[j] = next();
            nuisance[j] = next();
        }
        reference::sample s{n, d, std::vector<float>(n * d), {}};
        for (std::size_t i = 0; i < n; i++) {
            const double score = (i % 2 ? 1 : -1) * (0.2 + 0.8 * next.uniform()), common = 10 * next();
            s.scores.push_back(score);
            for (std::size_t j = 0; j < d; j++) {
                s.x[i * d + j] = static_cast<float>(0.5 * score * planted[j] + common * nuisance[j] + next());
            }
        }
        const double mean = cosine(fitted(s, options_of(md)).vector, planted);
        const double weighted = cosine(fitted(s, options_of(wrmd, preserve_mode::none, 0.01)).vector, planted);
        CHECK(weighted > 0.9);
        CHECK(weighted > mean - 0.02);
        gain += (weighted - mean) / 5;
    }
    CHECK(gain > 0.05);
}

TEST(ridge_result_describes_the_fit) {
    const auto s = random_sample(140, 12, 40);
    const direction got = fitted(s, {});
    CHECK_EQ(got.neutral, std::size_t(20));
    CHECK_EQ(got.refusing + got.complying, std::size_t(120));
    double refusing = 0, complying = 0;
    for (const double c : s.scores) {
        if (c > 0.1) refusing += c;
        if (c < -0.1) complying -= c;
    }
    CHECK_NEAR(got.refusing_weight, refusing, 1e-12 * refusing);
    CHECK_NEAR(got.complying_weight, complying, 1e-12 * complying);
    CHECK(got.gap > 0);
    CHECK(got.condition >= 1);

    const auto projection = [&](std::size_t i) {
        double sum = 0;
        for (std::size_t j = 0; j < s.d; j++) sum += double(got.vector[j]) * s.x[i * s.d + j];
        return sum;
    };
    double above = 0, pairs = 0, mean_projection = 0, mean_score = 0;
    for (std::size_t i = 0; i < s.n; i++) {
        mean_projection += projection(i) / double(s.n);
        mean_score += s.scores[i] / double(s.n);
        for (std::size_t k = 0; k < s.n; k++) {
            if (s.scores[i] <= 0.1 || s.scores[k] >= -0.1) continue;
            pairs++;
            above += projection(i) > projection(k);
        }
    }
    CHECK_NEAR(got.in_sample.auc, above / pairs, 1e-12);
    CHECK(got.in_sample.auc > 0.9);
    CHECK(got.in_sample.cohens_d > 1);
    double both = 0, projected = 0, scored = 0;
    for (std::size_t i = 0; i < s.n; i++) {
        const double a = projection(i) - mean_projection, b = s.scores[i] - mean_score;
        both += a * b;
        projected += a * a;
        scored += b * b;
    }
    CHECK_NEAR(got.in_sample.correlation, both / std::sqrt(projected * scored), 1e-9);

    auto swapped = s;
    for (auto & c : swapped.scores) c = -c;
    const direction opposite = fitted(swapped, options_of(md)), straight = fitted(s, options_of(md));
    for (std::size_t j = 0; j < 12; j++) CHECK_EQ(opposite.vector[j], -straight.vector[j]);
}

TEST(ridge_project_out_is_orthogonal_for_md) {
    const auto s = random_sample(100, 30, 41);
    const auto keep = preserve_rows(40, 30, 42);
    const direction got = fitted(s, options_of(md, preserve_mode::project_out), keep);
    CHECK_EQ(got.preserved, std::size_t(40));
    std::vector<double> wc(s.n);
    for (std::size_t i = 0; i < s.n; i++) wc[i] = s.scores[i] < -0.1;
    const auto mp = reference::mean(keep, 30, std::vector<double>(40, 1.0)), mc = reference::mean(s.x, 30, wc);
    double along = 0;
    for (std::size_t j = 0; j < 30; j++) along += got.vector[j] * (mp[j] - mc[j]);
    CHECK_NEAR(along, 0, 1e-6);
}

TEST(ridge_directions_of_layers_equal_single_fits) {
    for (const std::size_t d : {std::size_t(20), std::size_t(520)}) {
        const std::size_t layers = d == 20 ? 9 : 2, n = 40, stride = n * d + 7;
        std::vector<float> block(layers * stride);
        std::vector<double> scores;
        for (std::size_t l = 0; l < layers; l++) {
            const auto s = random_sample(n, d, unsigned(50 + l));
            std::copy(s.x.begin(), s.x.end(), block.begin() + std::ptrdiff_t(l * stride));
            for (std::size_t i = 0; i < n && l == 0; i++) scores.push_back(s.scores[i]);
        }
        std::set<std::size_t> seen;
        fit_progress progress;
        progress.finished = [&](std::size_t l) { seen.insert(l); };
        set_threads(3);
        const auto all = fit_directions({block.data(), layers, n, d, d, stride}, scores.data(), n, {}, {}, progress);
        CHECK_EQ(threads(), std::size_t(3));
        set_threads(0);
        CHECK_EQ(all.size(), layers);
        CHECK_EQ(seen.size(), layers);
        for (std::size_t l = 0; l < layers; l++) {
            const direction one = fit_direction({&block[l * stride], n, d}, scores.data(), n, {});
            for (std::size_t j = 0; j < d; j++) CHECK_NEAR(all[l].vector[j], one.vector[j], 1e-6);
            CHECK_NEAR(all[l].gap, one.gap, 1e-9 * one.gap);
        }
    }
}
