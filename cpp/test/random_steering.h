// Random lists of interventions, the same for the same seed: every operation, site, selection, schedule and kind of
// condition occurs.
#pragma once

#include "recipes.h"
#include "synthetic_models.h"

#include <cmath>
#include <memory>
#include <random>
#include <string>
#include <utility>
#include <vector>

namespace llama_steer::random_steering {

/// The same numbers on every machine: std::mt19937_64 is laid down, its distributions are not.
class dice {
public:
    explicit dice(uint64_t seed) : engine_(seed) {}
    /// 0 to count - 1.
    size_t below(size_t count) { return static_cast<size_t>(engine_() >> 32) % count; }
    bool one_in(size_t count) { return below(count) == 0; }
    double between(double low, double high) {
        return low + (high - low) * static_cast<double>(engine_() >> 11) / 9007199254740992.0;
    }
    template <typename container>
    auto & any_of(container & from) {
        return from[below(std::size(from))];
    }
    uint64_t seed() { return engine_(); }

private:
    std::mt19937_64 engine_;
};

inline token_selection random_selection(dice & random) {
    static const token_scope simple[] = {token_scope::all,       token_scope::all,
                                         token_scope::prompt,    token_scope::last_prompt,
                                         token_scope::generated, token_scope::last_prompt_and_generated};
    switch (random.below(8)) {
        case 0: {
            token_selection made(token_scope::positions);
            made.positions = {-1, -2, static_cast<int32_t>(random.below(20)), static_cast<int32_t>(random.below(40))};
            return made;
        }
        case 1: {
            token_selection made(token_scope::between);
            made.open = {static_cast<int32_t>(random.below(40))};
            made.close = {static_cast<int32_t>(random.below(40))};
            made.with_markers = random.one_in(2);
            return made;
        }
        default:
            return random.any_of(simple);
    }
}

inline std::vector<schedule_segment> random_segments(dice & random) {
    std::vector<schedule_segment> segments = {{-INFINITY, schedule_shape::constant, random.between(-0.8, 0.8), 0, 0}};
    double begin = random.between(-4, 3);
    for (size_t count = random.below(3); count > 0; --count) {
        static const schedule_shape shapes[] = {schedule_shape::constant, schedule_shape::linear,
                                                schedule_shape::cosine, schedule_shape::exponential};
        segments.push_back(
            {begin, random.any_of(shapes), random.between(-0.8, 0.8), random.between(-0.8, 0.8), random.between(1, 9)});
        begin += random.between(1, 9);
    }
    return segments;
}

inline intervention_numbers random_numbers(dice & random, operation kind) {
    intervention_numbers made;
    if (random.one_in(2)) {
        made.strength = schedule::constant(random.between(-0.8, 0.8));
    } else {
        std::vector<schedule_phase> phases;
        for (size_t count = 1 + random.below(2); count > 0; --count) {
            phases.push_back({random_selection(random), random_segments(random)});
        }
        made.strength = schedule(std::move(phases));
    }
    made.low = static_cast<float>(random.between(-0.5, 0.1));
    made.high = kind == operation::set ? made.low : made.low + static_cast<float>(random.between(0, 0.4));
    return made;
}

inline std::shared_ptr<const condition> random_leaf(dice & random, const model & source) {
    // Of tokens it is measured before layer 1, where the first interventions are; what a prompt decides, anywhere.
    static const condition_latch latches[] = {condition_latch::token, condition_latch::token,
                                              condition_latch::last_prompt, condition_latch::prompt_mean,
                                              condition_latch::prompt_any};
    condition_probe leaf;
    leaf.latch = random.any_of(latches);
    leaf.layer = leaf.latch == condition_latch::token ? 0 : static_cast<int>(random.below(4));
    leaf.site = site_id(random.one_in(2) ? "residual" : "residual_mid");
    leaf.direction = recipes::described({operation::observe, 1}, "residual", testbed::all_layers(source),
                                        source.info().hidden_size, source.info().n_layers, random.seed())
                         .directions();
    leaf.measure = random.one_in(2) ? condition_measure::cosine : condition_measure::projection;
    leaf.above = random.one_in(2);
    leaf.threshold = static_cast<float>(random.between(-0.15, 0.15));
    return std::make_shared<const condition>(leaf);
}

inline std::shared_ptr<const condition> random_condition(dice & random, const model & source) {
    if (random.one_in(2)) {
        return random_leaf(random, source);
    }
    std::vector<std::shared_ptr<const condition>> parts = {random_leaf(random, source), random_leaf(random, source)};
    const auto joined = std::make_shared<const condition>(
        random.one_in(2) ? condition::rule::all : condition::rule::any, std::move(parts));
    return random.one_in(2) ? joined
                            : std::make_shared<const condition>(condition::rule::negate,
                                                                std::vector<std::shared_ptr<const condition>>{joined});
}

inline intervention_request random_request(dice & random, const model & source) {
    static const char * const sites[] = {"residual", "residual_mid", "attention_out", "mlp_out", "attention_heads"};
    static const operation kinds[] = {operation::add,    operation::ablate, operation::clamp, operation::set,
                                      operation::affine, operation::rotate, operation::track, operation::observe};
    recipes::recipe what{random.any_of(kinds)};
    what.n_vectors = what.kind == operation::rotate ? 2 : 1 + random.below(3);
    what.keep_norm = random.one_in(3);
    what.norm_units = random.one_in(4);
    what.bias = random.one_in(2);
    std::vector<int> layers;
    for (int layer = 1; layer < source.info().n_layers; ++layer) {
        if (layer == source.info().n_layers - 1 ? layers.empty() || random.one_in(2) : random.one_in(2)) {
            layers.push_back(layer);
        }
    }
    const std::string site = random.any_of(sites);
    const int64_t width = source.sites().at(site).begin()->second.width;
    intervention_request made =
        recipes::described(what, site, layers, width, source.info().n_layers, random.seed()).request();
    made.tokens = random_selection(random);
    made.numbers = random_numbers(random, what.kind);
    if (what.norm_units) {
        // One norm is about 4: the bounds and strengths above would be far out.
        made.numbers.low *= 0.1F;
        made.numbers.high *= 0.1F;
    }
    if (random.one_in(3)) {
        made.when = random_condition(random, source);
    }
    return made;
}

inline std::shared_ptr<const steering_list> random_list(uint64_t seed, const model & source) {
    dice random(seed);
    auto made = std::make_shared<steering_list>();
    for (size_t count = 1 + random.below(4); count > 0; --count) {
        made->push_back(std::make_shared<intervention>(random_request(random, source)));
    }
    return made;
}

}  // namespace llama_steer::random_steering
