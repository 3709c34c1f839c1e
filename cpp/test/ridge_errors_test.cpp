// Everything that must be refused, with the code and the words that help.

#include "check.h"
#include "ridge_direction_reference.h"

#include "ridge/directions.h"
#include "ridge/matrix_view.h"

#include <atomic>
#include <limits>

using namespace llama_steer;
using namespace llama_steer::ridge;
using reference::random_sample;

namespace {

constexpr float nan_value = std::numeric_limits<float>::quiet_NaN();
constexpr float infinite = std::numeric_limits<float>::infinity();

struct input {
    reference::sample s = random_sample(30, 6, 70);
    direction_options options;
    std::vector<float> keep;

    direction fit() const {
        const matrix_view kept = keep.empty() ? matrix_view() : matrix_view(keep.data(), keep.size() / 6, 6);
        return fit_direction({s.x.data(), s.n, s.d}, s.scores.data(), s.scores.size(), options, kept);
    }
};

bool contains(const std::string & text, const char * part) { return text.find(part) != std::string::npos; }

}  // namespace

TEST(ridge_refuses_what_is_not_finite) {
    for (const float bad : {nan_value, infinite, -infinite}) {
        input in;
        in.s.x[4 * 6 + 5] = bad;
        CHECK(contains(CHECK_THROWS_CODE(in.fit(), error_code::NOT_FINITE), "features[row 4, column 5]"));
        input kept;
        kept.keep.assign(12, 1);
        kept.keep[7] = bad;
        kept.options.preserve = preserve_mode::covariance_pooled;
        CHECK(contains(CHECK_THROWS_CODE(kept.fit(), error_code::NOT_FINITE), "preserve[row 1, column 1]"));
        input scored;
        scored.s.scores[3] = bad;
        CHECK(contains(CHECK_THROWS_CODE(scored.fit(), error_code::NOT_FINITE), "scores[3]"));
    }
}

TEST(ridge_refuses_scores_out_of_range) {
    for (const double bad : {1.0000001, -2.0, 1e300}) {
        input in;
        in.s.scores[8] = bad;
        CHECK(contains(CHECK_THROWS_CODE(in.fit(), error_code::INVALID_ARGUMENT), "scores[8]"));
    }
    input edges;
    edges.s.scores[0] = 1;
    edges.s.scores[1] = -1;
    CHECK_EQ(edges.fit().vector.size(), std::size_t(6));
}

TEST(ridge_refuses_bad_options) {
    for (const double bad : {-1e-9, -1.0, double(nan_value), double(infinite)}) {
        input in;
        in.options.lambda = bad;
        CHECK(contains(CHECK_THROWS_CODE(in.fit(), error_code::INVALID_ARGUMENT), "lambda"));
    }
    for (const double bad : {-0.1, 1.0, double(nan_value)}) {
        input in;
        in.options.threshold = bad;
        CHECK(contains(CHECK_THROWS_CODE(in.fit(), error_code::INVALID_ARGUMENT), "threshold"));
    }
}

TEST(ridge_names_the_empty_class) {
    input in;
    for (auto & score : in.s.scores) score = 0.2 + 0.5 * std::fabs(score);
    const std::string message = CHECK_THROWS_CODE(in.fit(), error_code::EMPTY_CLASS);
    CHECK(contains(message, "0 comply"));
    CHECK(contains(message, "range from 0.2"));
    in.s.scores.assign(30, 0);
    CHECK(contains(CHECK_THROWS_CODE(in.fit(), error_code::EMPTY_CLASS), "0 of 30 rows refuse"));
}

TEST(ridge_refuses_shapes) {
    const input in;
    const float * x = in.s.x.data();
    const double * c = in.s.scores.data();
    CHECK_THROWS_CODE(fit_direction({x, 30, 6}, c, 29, {}), error_code::WIDTH_MISMATCH);
    CHECK_THROWS_CODE(fit_direction({x, 0, 6}, c, 0, {}), error_code::INVALID_ARGUMENT);
    CHECK_THROWS_CODE(fit_direction({x, 30, 0}, c, 30, {}), error_code::INVALID_ARGUMENT);
    CHECK_THROWS_CODE(fit_direction({x, 30, 6, 5}, c, 30, {}), error_code::INVALID_ARGUMENT);
    CHECK_THROWS_CODE(fit_direction({nullptr, 30, 6}, c, 30, {}), error_code::INVALID_ARGUMENT);
    CHECK_THROWS_CODE(fit_direction({x, 30, 6}, nullptr, 30, {}), error_code::INVALID_ARGUMENT);
}

TEST(ridge_refuses_preserve_sets_that_do_not_fit) {
    input in;
    in.options.preserve = preserve_mode::covariance_within;
    CHECK_THROWS_CODE(in.fit(), error_code::EMPTY_CLASS);
    in.keep.assign(12, 1);
    in.options.preserve = preserve_mode::none;
    CHECK_THROWS_CODE(in.fit(), error_code::INVALID_ARGUMENT);
    in.options.preserve = preserve_mode::covariance_pooled;
    in.options.method = direction_method::mean_difference;
    CHECK_THROWS_CODE(in.fit(), error_code::INVALID_ARGUMENT);

    direction_options o;
    o.preserve = preserve_mode::project_out;
    const std::vector<float> narrow(10, 1);
    CHECK_THROWS_CODE(fit_direction({in.s.x.data(), 30, 6}, in.s.scores.data(), 30, o, {narrow.data(), 2, 5}),
                      error_code::WIDTH_MISMATCH);
}

TEST(ridge_refuses_singular_covariances) {
    // Fewer rows than dimensions, a constant column, two equal columns, and no spread at all.
    direction_options o;
    o.lambda = 0;
    const auto few = random_sample(20, 40, 71);
    const std::string message =
        CHECK_THROWS_CODE(fit_direction({few.x.data(), 20, 40}, few.scores.data(), 20, o), error_code::SINGULAR_MATRIX);
    CHECK(contains(message, "set lambda"));

    input in;
    in.options.lambda = 0;
    for (std::size_t i = 0; i < 30; i++) in.s.x[i * 6 + 2] = 1;
    CHECK_THROWS_CODE(in.fit(), error_code::SINGULAR_MATRIX);
    for (std::size_t i = 0; i < 30; i++) in.s.x[i * 6 + 2] = in.s.x[i * 6 + 3] * 2;
    CHECK_THROWS_CODE(in.fit(), error_code::SINGULAR_MATRIX);
    in.options.lambda = 1e-17;
    CHECK_THROWS_CODE(in.fit(), error_code::SINGULAR_MATRIX);
    in.options.lambda = 1e-6;
    CHECK_EQ(in.fit().vector.size(), std::size_t(6));

    input flat;
    for (std::size_t i = 0; i < 30; i++) {
        for (std::size_t j = 0; j < 6; j++) flat.s.x[i * 6 + j] = flat.s.scores[i] > 0.1 ? 1.0f : -1.0f;
    }
    CHECK_THROWS_CODE(flat.fit(), error_code::SINGULAR_MATRIX);
    flat.options.method = direction_method::mean_difference;
    CHECK_NEAR(flat.fit().vector[0], 1 / std::sqrt(6.0), 1e-6);
}

TEST(ridge_refuses_means_that_coincide) {
    input in;
    for (std::size_t i = 0; i < in.s.x.size(); i++) in.s.x[i] = float(i % 6) * 0.37f;
    CHECK_THROWS_CODE(in.fit(), error_code::INVALID_ARGUMENT);

    // The preserve set lies where the refusing rows lie: nothing is left to move along.
    input along;
    along.options.preserve = preserve_mode::project_out;
    along.keep.assign(12, 0);
    for (std::size_t i = 0; i < 30; i++) {
        for (std::size_t j = 0; j < 6; j++) along.s.x[i * 6 + j] = along.s.scores[i] > 0.1 ? float(j + 1) : 0.0f;
    }
    for (std::size_t j = 0; j < 12; j++) along.keep[j] = float(j % 6 + 1) * 2;
    CHECK_THROWS_CODE(along.fit(), error_code::INVALID_ARGUMENT);
}

TEST(ridge_survives_extreme_scales) {
    for (const float scale : {1e-30f, 1e-18f, 1e18f, 1e36f}) {
        input in;
        const auto plain = in.fit();
        for (auto & value : in.s.x) value *= scale;
        const auto scaled = in.fit();
        for (std::size_t j = 0; j < 6; j++) CHECK_NEAR(scaled.vector[j], plain.vector[j], 1e-4);
    }
}

TEST(ridge_aborts) {
    const auto s = random_sample(200, 50, 72);
    for (int allowed = 0; allowed < 4; allowed++) {
        int asked = 0;
        const abort_check stop = [&] { return asked++ >= allowed; };
        CHECK_THROWS_CODE(fit_direction({s.x.data(), 200, 50}, s.scores.data(), 200, {}, {}, stop),
                          error_code::ABORTED);
        CHECK_EQ(asked, allowed + 1);
    }
}

TEST(ridge_layers_report_the_lowest_that_fails) {
    const std::size_t layers = 6, n = 30, d = 6;
    std::vector<float> block;
    for (std::size_t l = 0; l < layers; l++) {
        const auto s = random_sample(n, d, unsigned(80 + l));
        block.insert(block.end(), s.x.begin(), s.x.end());
    }
    const auto scores = random_sample(n, d, 80).scores;
    block[(5 * n + 2) * d + 1] = nan_value;
    block[(3 * n + 7) * d + 4] = nan_value;
    const layer_block features{block.data(), layers, n, d, d, n * d};
    const std::string message =
        CHECK_THROWS_CODE(fit_directions(features, scores.data(), n, {}), error_code::NOT_FINITE);
    CHECK(contains(message, "layer 3: features[row 7, column 4]"));

    std::atomic<int> asked{0};
    fit_progress progress;
    progress.aborted = [&] { return ++asked > 2; };
    const layer_block sound{block.data(), 3, n, d, d, n * d};
    CHECK_THROWS_CODE(fit_directions(sound, scores.data(), n, {}, {}, progress), error_code::ABORTED);
    CHECK_THROWS_CODE(fit_directions({block.data(), 0, n, d, d, n * d}, scores.data(), n, {}),
                      error_code::INVALID_ARGUMENT);
    CHECK_THROWS_CODE(fit_directions({block.data(), 2, n, d, d, n * d - 1}, scores.data(), n, {}),
                      error_code::INVALID_ARGUMENT);
    direction_options keep;
    keep.preserve = preserve_mode::project_out;
    CHECK_THROWS_CODE(fit_directions(sound, scores.data(), n, keep, {block.data(), 2, n, d, d, n * d}),
                      error_code::WIDTH_MISMATCH);
    CHECK_THROWS_CODE(fit_directions(sound, scores.data(), n, keep), error_code::EMPTY_CLASS);
}

TEST(error_codes_have_names_and_meanings) {
    CHECK_EQ(std::string(error_code_name(error_code::EMPTY_CLASS)), std::string("EMPTY_CLASS"));
    CHECK_EQ(std::string(error_code_name(error_code::INTERNAL)), std::string("INTERNAL"));
    CHECK(std::strlen(error_code_meaning(error_code::ABORTED)) > 0);
}
