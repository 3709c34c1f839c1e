// What interventions refuse, and what they report.

#include "check.h"
#include "model/steering_fit.h"
#include "recipes.h"
#include "synthetic_models.h"
#include "testbed.h"

#include <cmath>

using namespace llama_steer;
using recipes::described;

namespace {

constexpr int64_t width = 8;
constexpr int n_layers = 4;

/// Vectors of one layer each, as rows of numbers.
direction_set make(operation kind, const std::vector<std::vector<float>> & vectors, int layer = 1) {
    direction_request request;
    request.kind = kind;
    for (const std::vector<float> & each : vectors) {
        request.vectors.push_back({each.data(), static_cast<int64_t>(each.size()), {layer}, nullptr});
    }
    return {request, n_layers};
}

std::vector<float> axis(size_t index, float length = 1) {
    std::vector<float> made(width, 0.0F);
    made[index] = length;
    return made;
}

constexpr operation all_kinds[] = {operation::add,    operation::ablate, operation::clamp, operation::set,
                                   operation::affine, operation::rotate, operation::track, operation::observe};

}  // namespace

TEST(interventions_refuse_directions_without_orientation) {
    const std::vector<float> zero(width, 0.0F);
    for (const operation kind : all_kinds) {
        if (needs_orientation(kind)) {
            CHECK_THROWS_CODE(make(kind, {zero, axis(0)}), error_code::ZERO_VECTOR);
            CHECK_THROWS_CODE(make(kind, {axis(0), zero}), error_code::ZERO_VECTOR);
        }
        CHECK_THROWS_CODE(make(kind, {}), error_code::INVALID_ARGUMENT);
        CHECK_THROWS_CODE(make(kind, {axis(0), axis(0)}, n_layers), error_code::LAYER_OUT_OF_RANGE);
        CHECK_THROWS_CODE(make(kind, {axis(0), {1, 2, 3}}), error_code::WIDTH_MISMATCH);
        for (const float value : {static_cast<float>(NAN), static_cast<float>(-INFINITY)}) {
            CHECK_THROWS_CODE(make(kind, {axis(0), axis(3, value)}), error_code::NOT_FINITE);
        }
    }
    // Adding nothing is no mistake.
    CHECK_EQ(make(operation::add, {zero}).n_vectors(), 1);
}

TEST(interventions_refuse_directions_that_depend_on_each_other) {
    std::vector<float> between = axis(0);
    between[1] = 1;
    const std::vector<std::vector<float>> dependent = {axis(0), axis(1), between};
    for (const operation kind : {operation::clamp, operation::set, operation::track}) {
        CHECK_THROWS_CODE(make(kind, dependent), error_code::STEERING_CONFLICT);
        CHECK_THROWS_CODE(make(kind, {axis(2), axis(2, -3)}), error_code::STEERING_CONFLICT);
        CHECK_EQ(make(kind, {axis(0), between}).n_vectors(), 2);
    }
    // A span does not mind.
    CHECK_EQ(make(operation::ablate, dependent).n_vectors(), 2);
    CHECK_EQ(make(operation::observe, dependent).n_vectors(), 3);
    CHECK_THROWS_CODE(make(operation::rotate, {axis(0)}), error_code::INVALID_ARGUMENT);
    CHECK_THROWS_CODE(make(operation::rotate, dependent), error_code::INVALID_ARGUMENT);
    CHECK_THROWS_CODE(make(operation::rotate, {axis(2), axis(2, -3)}), error_code::INVALID_ARGUMENT);
    CHECK_THROWS_CODE(make(operation::affine, {axis(0)}), error_code::INVALID_ARGUMENT);  // no vector up
}

TEST(interventions_refuse_norms_they_do_not_know) {
    const std::vector<float> vector = axis(0);
    for (const operation kind : {operation::add, operation::clamp, operation::set}) {
        direction_request request;
        request.kind = kind;
        request.norm_units = true;
        request.vectors.push_back({vector.data(), width, {1}, nullptr});
        CHECK_THROWS_CODE(direction_set(request, n_layers), error_code::NORMS_MISSING);
        for (const float norm : {0.0F, -1.0F, static_cast<float>(NAN), static_cast<float>(INFINITY)}) {
            request.vectors.front().norms = &norm;
            CHECK_THROWS_CODE(direction_set(request, n_layers), error_code::NOT_FINITE);
        }
    }
    const std::vector<float> zero(width, 0.0F);
    const float norm = 2;
    direction_request nothing;
    nothing.norm_units = true;
    nothing.vectors.push_back({zero.data(), width, {1}, &norm});
    CHECK_THROWS_CODE(direction_set(nothing, n_layers), error_code::ZERO_VECTOR);
}

TEST(interventions_refuse_numbers_that_are_none) {
    intervention_request request;
    request.site = site_id("residual");
    request.directions = std::make_shared<const direction_set>(make(operation::clamp, {axis(0)}));
    request.numbers.low = NAN;
    CHECK_THROWS_CODE(intervention(request), error_code::NOT_FINITE);
    request.numbers.low = 1;
    request.numbers.high = NAN;
    CHECK_THROWS_CODE(intervention(request), error_code::NOT_FINITE);
    request.numbers.high = 0.5F;
    CHECK_THROWS_CODE(intervention(request), error_code::INVALID_ARGUMENT);
    request.numbers.high = 2;
    intervention good(request);
    intervention_numbers bad = request.numbers;
    bad.low = 3;
    CHECK_THROWS_CODE(good.set_numbers(bad), error_code::INVALID_ARGUMENT);
    CHECK_EQ(good.numbers().low, 1.0F);
}

TEST(interventions_refuse_places_a_model_lacks) {
    const std::shared_ptr<const model> source = synthetic::tiny_model("llama");
    const auto fits = [&](const std::string & site, std::vector<int> layers, int64_t of_width) {
        const described what({operation::add, 1}, site, std::move(layers), of_width, source->info().n_layers, 3);
        check_fit(*source, *what.made());
    };
    fits("residual", {0, 3}, 64);
    CHECK_THROWS_CODE(fits("nowhere", {0}, 64), error_code::SITE_UNKNOWN);
    CHECK_THROWS_CODE(fits("residual", {0}, 32), error_code::WIDTH_MISMATCH);
    // Recurrent layers of this model have no query-key products: a raw node that some layers lack.
    const std::shared_ptr<const model> hybrid = synthetic::tiny_model("qwen3next");
    const auto & shapes = hybrid->sites().at("final_output");
    CHECK(shapes.count(3) == 0 && shapes.count(0) == 1);
    const described what({operation::add, 1}, "final_output", {0, 3}, shapes.at(0).width, hybrid->info().n_layers, 3);
    CHECK_THROWS_CODE(check_fit(*hybrid, *what.made()), error_code::LAYER_OUT_OF_RANGE);
}

/// Projections on the row that chose each token, as it arrives at each intervention in turn.
TEST(interventions_report_the_projections_they_find) {
    const std::shared_ptr<const model> source = synthetic::tiny_model("llama");
    const auto make_list = [&](const std::vector<recipes::recipe> & all) {
        std::vector<described> list;
        for (const recipes::recipe & each : all) {
            list.emplace_back(each, "residual", std::vector<int>{1, 2}, source->info().hidden_size,
                              source->info().n_layers, 55);
        }
        return list;
    };
    const std::vector<described> list = make_list({{operation::observe, 2},
                                                   {operation::track, 2, 1, -0.2F, 0.1F},
                                                   {operation::observe, 2},
                                                   {operation::add, 1, 0.5},
                                                   {operation::observe, 2}});
    const std::shared_ptr<const steering_list> made = recipes::list_of(list);
    context_options options;
    options.max_sequences = 1;
    options.context_size = 64;
    options.batch_size = 4;  // the prompt takes several passes
    options.threads = 2;
    testbed::waiting_engine mine(options, source);
    mine.steer(0, made);
    testbed::recording rows(token_scope::last_prompt_and_generated, 16, "residual", *source);
    tap_request capture = rows.target->request();
    capture.occasion = tap_occasion::generation;
    capture.sequence = 0;
    generate_request request;
    request.prompt = {10, 11, 12, 13, 14, 15, 16, 17, 18};
    request.max_tokens = 5;
    rows.target = request.capture = std::make_shared<tap>(capture);
    const operation_id id = mine.get().generate(request);
    const auto found = mine.projections(id);
    CHECK_EQ(found.size(), 5U);
    for (size_t token = 0; token < found.size(); ++token) {
        CHECK_EQ(found[token].size(), 4U);  // adding reports nothing
        for (size_t i = 0; i < found[token].size(); ++i) {
            CHECK_EQ(found[token][i].intervention, (*made)[i + (i > 2 ? 1 : 0)]->id());
            CHECK_EQ(found[token][i].values.size(), 4U);  // two vectors at two layers
        }
        for (const int layer : {1, 2}) {
            // The rows have left the list: the last observer saw them so, and those before it saw them less the sum.
            const formulas::row after =
                formulas::row_of(rows.row(static_cast<size_t>(layer), static_cast<int64_t>(token)),
                                 static_cast<size_t>(source->info().hidden_size));
            const formulas::action action = list[3].action(layer);
            const formulas::row clamped = formulas::plus(after, -0.5, action.vectors[0]);
            for (size_t k = 0; k < 2; ++k) {
                const formulas::row v = formulas::unit(list[0].action(layer).vectors[k]);
                const auto value = [&](size_t i) {
                    return static_cast<double>(found[token][i].values[static_cast<size_t>(layer - 1) * 2 + k]);
                };
                const double scale = formulas::norm(after);
                CHECK_NEAR(value(3), formulas::product(v, after), 1e-5 * scale);
                CHECK_NEAR(value(2), formulas::product(v, clamped), 1e-5 * scale);
                CHECK_EQ(value(1), value(0));  // both before it is bounded
                CHECK_NEAR(value(2), std::min(std::max(value(1), -0.2), 0.1), 1e-5 * scale);
            }
        }
    }
}
