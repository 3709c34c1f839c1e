// Sequences that take the beginnings of others: what they compute then is compared with a context of one sequence that
// computed everything itself.
#pragma once

#include "check.h"
#include "recipes.h"
#include "synthetic_models.h"
#include "testbed.h"

#include <cmath>
#include <functional>
#include <memory>
#include <numeric>
#include <utility>
#include <vector>

namespace llama_steer::sharing {

using list_ptr = std::shared_ptr<const steering_list>;
using list_maker = std::function<list_ptr()>;  ///< other objects of the same contents, every time

inline std::vector<int32_t> tokens_from(int32_t first, int32_t count) {
    std::vector<int32_t> tokens(static_cast<size_t>(count));
    std::iota(tokens.begin(), tokens.end(), first);
    return tokens;
}

inline std::vector<int32_t> joined(std::vector<int32_t> tokens, const std::vector<int32_t> & more) {
    tokens.insert(tokens.end(), more.begin(), more.end());
    return tokens;
}

using testbed::exact_options;

inline evaluate_entry entry(int32_t sequence, std::vector<int32_t> tokens, bool generated = false,
                            bool ends_prompt = true) {
    evaluate_entry made;
    made.sequence = sequence;
    made.tokens = std::move(tokens);
    made.generated = generated;
    made.ends_prompt = ends_prompt;
    return made;
}

/// An intervention on the residual stream of layers 1 and 2, by a recipe.
inline intervention_request request_of(const model & source, const recipes::recipe & what, uint64_t seed = 17) {
    return recipes::described(what, "residual", {1, 2}, source.info().hidden_size, source.info().n_layers, seed)
        .request();
}

inline list_ptr list_of(std::vector<intervention_request> requests) {
    auto made = std::make_shared<steering_list>();
    for (intervention_request & each : requests) {
        made->push_back(std::make_shared<intervention>(std::move(each)));
    }
    return made;
}

/// A latched condition on what layer 0 gives out.
inline std::shared_ptr<const condition> condition_of(const model & source, condition_latch latch, float threshold,
                                                     bool above = true, uint64_t seed = 18) {
    condition_probe leaf;
    leaf.site = site_id("residual");
    leaf.layer = 0;
    leaf.direction = recipes::described({operation::observe, 1}, "residual", {0}, source.info().hidden_size,
                                        source.info().n_layers, seed)
                         .directions();
    leaf.measure = condition_measure::projection;
    leaf.latch = latch;
    leaf.above = above;
    leaf.threshold = threshold;
    return std::make_shared<const condition>(leaf);
}

/// Logits of the last token of a prompt from `begin` on, and then of three tokens of an answer.
inline std::vector<float> logits_of(testbed::waiting_engine & engine, int32_t sequence,
                                    const std::vector<int32_t> & prompt, int32_t begin) {
    std::vector<float> all;
    std::vector<float> logits(static_cast<size_t>(engine.get().source().info().vocabulary_size));
    for (int step = 0; step < 4; ++step) {
        engine.evaluate(
            {step == 0 ? entry(sequence, {prompt.begin() + begin, prompt.end()}) : entry(sequence, {250 + step}, true)},
            &logits);
        all.insert(all.end(), logits.begin(), logits.end());
    }
    return all;
}

/// The largest difference, where 1 is the largest logit (if that is above 1).
inline double distance(const std::vector<float> & a, const std::vector<float> & b) {
    double worst = a.size() == b.size() ? 0 : INFINITY;
    double largest = 1;
    for (size_t i = 0; i < std::min(a.size(), b.size()); ++i) {
        worst = std::max(worst, static_cast<double>(std::fabs(a[i] - b[i])));
        largest = std::max(largest, static_cast<double>(std::fabs(b[i])));
    }
    return worst / largest;
}

/// Steers the empty sequence `taker`, takes what it can of `prompt`, computes the rest and an answer, and compares.
/// Returns the number of tokens taken.
inline int32_t check_taking(testbed::waiting_engine & engine, int32_t taker, const list_maker & list,
                            const std::vector<int32_t> & prompt, double tolerance = 1e-5) {
    // Borrowed: whoever made the engine holds the model.
    const std::shared_ptr<const model> source(std::shared_ptr<const model>(), &engine.get().source());
    engine.steer(taker, list ? list() : nullptr);
    const int32_t count = engine.share_prefix(taker, prompt);
    CHECK_EQ(engine.get().position(taker), count);
    CHECK(count < static_cast<int32_t>(prompt.size()));
    const std::vector<float> mine = logits_of(engine, taker, prompt, count);
    testbed::waiting_engine fresh(exact_options(1, engine.get().options().context_size), source);
    fresh.steer(0, list ? list() : nullptr);
    CHECK_NEAR(distance(mine, logits_of(fresh, 0, prompt, 0)), 0, tolerance);
    return count;
}

}  // namespace llama_steer::sharing
