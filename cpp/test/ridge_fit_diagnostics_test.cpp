// What a fit says of itself: separation, spread over the elements, cross-validation, bootstrap, memory and progress.

#include "check.h"
#include "ridge_fit_reference.h"

#include "ridge/direction_resampling.h"
#include "ridge/directions.h"
#include "ridge/separation.h"

#include <algorithm>
#include <atomic>
#include <mutex>

using namespace llama_steer;
using namespace llama_steer::ridge;
using reference::random_sample;

namespace {

constexpr auto md = direction_method::mean_difference;
constexpr auto wrmd = direction_method::weighted_ridge_mean_difference;

direction fitted(const reference::sample & s, const direction_options & o, const std::vector<float> & keep = {}) {
    const matrix_view kept = keep.empty() ? matrix_view() : matrix_view(keep.data(), keep.size() / s.d, s.d);
    return fit_direction({s.x.data(), s.n, s.d}, s.scores.data(), s.n, o, kept);
}

direction_options resampled(direction_method method, std::size_t folds, std::size_t resamples, std::uint64_t seed) {
    direction_options o;
    o.method = method;
    o.resampling = {folds, resamples, seed};
    return o;
}

/// The generator and the draws once more, from their description.
class draws {
public:
    explicit draws(std::uint64_t seed) : state_(seed) {}

    std::size_t below(std::size_t bound) {
        std::uint64_t z = (state_ += 0x9e3779b97f4a7c15u);
        z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9u;
        z = (z ^ (z >> 27)) * 0x94d049bb133111ebu;
        z ^= z >> 31;
        return std::size_t(z % bound);
    }

    std::vector<std::size_t> shuffled(std::size_t count, std::size_t folds) {
        std::vector<std::size_t> out;
        for (std::size_t i = 0; i < count; i++) out.push_back(i % folds);
        for (std::size_t i = count; i-- > 1;) std::swap(out[i], out[below(i + 1)]);
        return out;
    }

private:
    std::uint64_t state_;
};

struct classes {
    std::vector<std::size_t> refusing, complying, neutral;
};

classes classes_of(const reference::sample & s) {
    classes c;
    for (std::size_t i = 0; i < s.n; i++) {
        (s.scores[i] > 0.1 ? c.refusing : s.scores[i] < -0.1 ? c.complying : c.neutral).push_back(i);
    }
    return c;
}

/// A sample of these rows only.
reference::sample rows_of(const reference::sample & s, const std::vector<std::size_t> & rows) {
    reference::sample out{rows.size(), s.d, {}, {}};
    for (const std::size_t i : rows) {
        out.x.insert(out.x.end(), s.x.begin() + std::ptrdiff_t(i * s.d), s.x.begin() + std::ptrdiff_t((i + 1) * s.d));
        out.scores.push_back(s.scores[i]);
    }
    return out;
}

double pearson(const std::vector<double> & x, const std::vector<double> & y) {
    double mx = 0, my = 0, xx = 0, yy = 0, xy = 0;
    for (std::size_t i = 0; i < x.size(); i++) {
        mx += x[i] / double(x.size());
        my += y[i] / double(x.size());
    }
    for (std::size_t i = 0; i < x.size(); i++) {
        xx += (x[i] - mx) * (x[i] - mx);
        yy += (y[i] - my) * (y[i] - my);
        xy += (x[i] - mx) * (y[i] - my);
    }
    return xy / std::sqrt(xx * yy);
}

}  // namespace

TEST(ridge_rank_correlation_by_definition) {
    // scipy.stats.spearmanr (1.17.1) gives 0.4 and 0.7631578947368421.
    CHECK_NEAR(rank_correlation({1, 2, 3, 4}, {1, 4, 2, 3}), 0.4, 1e-15);
    CHECK_NEAR(rank_correlation({1, 2, 2, 3, 9}, {1, 3, 2, 2, 100}), 0.76315789473684215, 1e-12);
    CHECK_NEAR(rank_correlation({1, 10, 100}, {-3, -2, 70}), 1, 1e-15);
    CHECK(std::isnan(rank_correlation({1, 1, 1}, {1, 2, 3})));
    CHECK(std::isnan(rank_correlation({}, {})));
    // Ranks by counting: smaller ones, and half of the equal ones.
    const auto s = random_sample(60, 1, 31);
    std::vector<double> x, y = s.scores;
    for (const float value : s.x) x.push_back(std::floor(double(value) * 2));
    const auto ranks = [](const std::vector<double> & of) {
        std::vector<double> out;
        for (const double a : of) {
            double rank = 0;
            for (const double b : of) rank += b < a ? 1 : b == a ? 0.5 : 0;
            out.push_back(rank);
        }
        return out;
    };
    CHECK_NEAR(rank_correlation(x, y), pearson(ranks(x), ranks(y)), 1e-12);
}

TEST(ridge_spread_over_elements_by_definition) {
    CHECK_EQ(participation_ratio({0, 3, 0, 0}), 1.0);
    CHECK_EQ(participation_ratio({2, -2, 2, -2}), 4.0);
    CHECK_NEAR(participation_ratio({1, 2}), 25.0 / 17, 1e-15);
    CHECK_NEAR(top_share({1, -2, 3, 0, 0, 0, 0, 0, 0, 0}, 0.1), 9.0 / 14, 1e-15);
    CHECK_NEAR(top_share({1, -2, 3, 0, 0, 0, 0, 0, 0, 0}, 0.11), 13.0 / 14, 1e-15);
    CHECK_NEAR(top_share({1, -2, 3}, 0.01), 9.0 / 14, 1e-15);
    CHECK_EQ(top_share({1, 2, 3}, 1), 1.0);
    const auto s = random_sample(50, 200, 32);
    const direction got = fitted(s, {});
    std::vector<double> squares;
    for (const float value : got.vector) squares.push_back(double(value) * double(value));
    std::sort(squares.rbegin(), squares.rend());
    double sum = 0, fourth = 0;
    for (std::size_t j = 0; j < 200; j++) {
        sum += squares[j];
        fourth += squares[j] * squares[j];
        if (j == 1) CHECK_NEAR(got.top_shares[0], sum, 1e-6);
        if (j == 9) CHECK_NEAR(got.top_shares[1], sum, 1e-6);
        if (j == 19) CHECK_NEAR(got.top_shares[2], sum, 1e-6);
    }
    CHECK_NEAR(got.participation, 1 / fourth, 1e-4);
}

TEST(ridge_cross_validation_equals_fits_on_the_other_folds) {
    for (const std::size_t d : {std::size_t(8), std::size_t(300)}) {  // in all dimensions, and in the basis of the rows
        const auto s = random_sample(40, d, 33);
        const auto keep = random_sample(9, d, 34);
        auto o = resampled(wrmd, 4, 0, 7);
        o.preserve = preserve_mode::covariance_pooled;
        const direction got = fitted(s, o, keep.x);

        draws random(7);
        const classes c = classes_of(s);
        const auto fr = random.shuffled(c.refusing.size(), 4), fc = random.shuffled(c.complying.size(), 4);
        const auto fn = random.shuffled(c.neutral.size(), 4), fk = random.shuffled(9, 4);
        separation mean{0, 0, 0, 0};
        for (std::size_t fold = 0; fold < 4; fold++) {
            std::vector<std::size_t> rest, held, kept;
            const auto cut = [&](const std::vector<std::size_t> & rows, const std::vector<std::size_t> & folds) {
                for (std::size_t i = 0; i < rows.size(); i++) (folds[i] == fold ? held : rest).push_back(rows[i]);
            };
            cut(c.refusing, fr);
            cut(c.complying, fc);
            cut(c.neutral, fn);
            for (std::size_t i = 0; i < 9; i++) {
                if (fk[i] != fold) kept.push_back(i);
            }
            auto plain = o;
            plain.resampling = {};
            const auto v = reference::direction(rows_of(s, rest), plain, rows_of(keep, kept).x).v;
            std::vector<double> projections, scores, above, below;
            for (const std::size_t i : held) {
                double p = 0;
                for (std::size_t j = 0; j < d; j++) p += v[j] * s.x[i * d + j];
                projections.push_back(p);
                scores.push_back(s.scores[i]);
                if (s.scores[i] > 0.1) above.push_back(p);
                if (s.scores[i] < -0.1) below.push_back(p);
            }
            double wins = 0;
            for (const double a : above) {
                for (const double b : below) wins += a > b;
            }
            mean.auc += wins / double(above.size() * below.size()) / 4;
            mean.cohens_d += cohens_d(above, below) / 4;
            mean.correlation += pearson(projections, scores) / 4;
            mean.spearman += rank_correlation(projections, scores) / 4;
        }
        CHECK_NEAR(got.held_out.auc, mean.auc, 1e-12);
        CHECK_NEAR(got.held_out.cohens_d, mean.cohens_d, 1e-6 * std::fabs(mean.cohens_d));
        CHECK_NEAR(got.held_out.correlation, mean.correlation, 1e-8);
        CHECK_NEAR(got.held_out.spearman, mean.spearman, 1e-12);
        CHECK(std::isnan(got.stability));
    }
}

TEST(ridge_held_out_rows_do_not_flatter) {
    // Nothing but noise, in more dimensions than rows: perfect on its own rows, chance on others.
    reference::gaussian next(35);
    reference::sample s{120, 400, std::vector<float>(120 * 400), {}};
    for (auto & value : s.x) value = float(next());
    for (std::size_t i = 0; i < s.n; i++) s.scores.push_back(i % 2 ? 1 : -1);
    const direction got = fitted(s, resampled(wrmd, 5, 10, 1));
    CHECK(got.in_sample.auc > 0.99);
    CHECK_NEAR(got.held_out.auc, 0.5, 0.15);
    CHECK_NEAR(got.stability, 0.5, 0.15);  // resamples share rows, and nothing else

    for (std::size_t i = 0; i < s.n; i++) s.x[i * 400 + 3] += float(20 * s.scores[i]);
    const direction planted = fitted(s, resampled(md, 5, 10, 1));
    CHECK_EQ(planted.held_out.auc, 1.0);
    CHECK(planted.stability > 0.95);
}

TEST(ridge_bootstrap_equals_fits_on_the_drawn_rows) {
    for (const std::size_t d : {std::size_t(8), std::size_t(300)}) {
        const auto s = random_sample(40, d, 36);
        const direction got = fitted(s, resampled(wrmd, 0, 6, 11));
        draws random(11);
        const classes c = classes_of(s);
        std::vector<std::vector<double>> directions;
        for (int number = 0; number < 6; number++) {
            std::vector<std::size_t> rows;
            for (std::size_t i = 0; i < c.refusing.size(); i++)
                rows.push_back(c.refusing[random.below(c.refusing.size())]);
            for (std::size_t i = 0; i < c.complying.size(); i++)
                rows.push_back(c.complying[random.below(c.complying.size())]);
            directions.push_back(reference::direction(rows_of(s, rows), {}, {}).v);
        }
        double mean = 0;
        for (std::size_t a = 0; a < 6; a++) {
            for (std::size_t b = 0; b < a; b++) mean += reference::dot(directions[a], directions[b]) / 15;
        }
        CHECK_NEAR(got.stability, mean, 1e-9);
        CHECK(fitted(s, resampled(wrmd, 0, 6, 12)).stability != got.stability);
        CHECK_EQ(fitted(s, resampled(wrmd, 0, 6, 11)).stability, got.stability);
    }
}

TEST(ridge_diagnostics_of_lists_are_those_of_single_fits) {
    const auto s = random_sample(60, 12, 37);
    const auto o = resampled(wrmd, 3, 4, 5);
    const auto path = fit_direction_path({s.x.data(), s.n, s.d}, s.scores.data(), s.n, o, {0.1, 10});
    for (const auto & each : path) {
        auto alone = o;
        alone.unit = lambda_unit::relative;
        alone.lambda = &each == &path[0] ? 0.1 : 10;
        const direction one = fitted(s, alone);
        CHECK_NEAR(each.held_out.cohens_d, one.held_out.cohens_d, 1e-9);
        CHECK_NEAR(each.stability, one.stability, 1e-9);
    }
}

TEST(ridge_diagnostics_refuse_what_they_cannot_do) {
    const auto s = random_sample(40, 6, 38);
    CHECK_THROWS_CODE(fitted(s, resampled(wrmd, 1, 0, 1)), error_code::INVALID_ARGUMENT);
    CHECK_THROWS_CODE(fitted(s, resampled(wrmd, 0, 1, 1)), error_code::INVALID_ARGUMENT);
    const auto message = CHECK_THROWS_CODE(fitted(s, resampled(wrmd, 25, 0, 1)), error_code::EMPTY_CLASS);
    CHECK(message.find("25 folds") != std::string::npos);
    auto o = resampled(md, 5, 0, 1);
    o.preserve = preserve_mode::project_out;
    CHECK_THROWS_CODE(fitted(s, o, random_sample(4, 6, 39).x), error_code::EMPTY_CLASS);
    CHECK(std::isfinite(fitted(s, o, random_sample(5, 6, 39).x).held_out.auc));
    // Fewer rows than dimensions remain in a fold.
    const auto narrow = random_sample(30, 10, 40);
    auto exact = resampled(wrmd, 12, 0, 1);
    exact.lambda = 0;
    CHECK(fitted(narrow, exact).held_out.auc > 0);
    exact.resampling = {0, 50, 1};
    const auto singular = CHECK_THROWS_CODE(fitted(narrow, exact), error_code::SINGULAR_MATRIX);
    CHECK(singular.find("resample ") == 0);
}

TEST(ridge_fits_of_layers_count_their_steps_and_keep_a_budget) {
    const std::size_t layers = 4, n = 40, d = 16;
    std::vector<float> block;
    std::vector<double> scores;
    for (std::size_t l = 0; l < layers; l++) {
        const auto s = random_sample(n, d, unsigned(41 + l));
        block.insert(block.end(), s.x.begin(), s.x.end());
        scores = s.scores;
    }
    const layer_block features{block.data(), layers, n, d, d, n * d};
    const auto o = resampled(wrmd, 2, 3, 1);
    std::vector<std::size_t> done;
    fit_progress progress;
    progress.stepped = [&](std::size_t count, std::size_t all) {
        CHECK_EQ(all, layers * 6);
        done.push_back(count);
    };
    const auto paths = fit_direction_paths(features, scores.data(), n, o, {1, 2}, {}, progress);
    CHECK_EQ(paths.size(), layers);
    CHECK_EQ(done.size(), layers * 6);
    for (std::size_t i = 0; i < done.size(); i++) CHECK_EQ(done[i], i + 1);

    const std::size_t one = direction_bytes(n, 0, d, o, 2);
    const std::size_t results = layers * 2 * (d * sizeof(float) + sizeof(direction));
    const auto tight = fit_direction_paths(features, scores.data(), n, o, {1, 2}, {}, {}, one + results);
    for (std::size_t l = 0; l < layers; l++) {
        for (std::size_t j = 0; j < d; j++) CHECK_NEAR(tight[l][1].vector[j], paths[l][1].vector[j], 1e-6);
    }
    bool started = false;
    progress.stepped = [&](std::size_t, std::size_t) { started = true; };
    const auto message =
        CHECK_THROWS_CODE(fit_direction_paths(features, scores.data(), n, o, {1, 2}, {}, progress, one + results - 1),
                          error_code::OUT_OF_MEMORY);
    CHECK(message.find(std::to_string(one + results)) != std::string::npos);
    CHECK(!started);

    std::atomic<int> steps{0};
    progress.stepped = [&](std::size_t, std::size_t) { steps++; };
    progress.aborted = [&] { return steps >= 3; };
    CHECK_THROWS_CODE(fit_direction_paths(features, scores.data(), n, o, {1}, {}, progress), error_code::ABORTED);
    CHECK(steps < 12);
}
