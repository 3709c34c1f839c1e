// Steering against llama.cpp's own control vectors, bit for bit, and against each sequence's run alone.

#include "check.h"
#include "reference.h"
#include "testbed.h"

#include <algorithm>
#include <cmath>
#include <cstring>

using namespace llama_steer;

namespace {

context_options options(int32_t sequences) {
    context_options result;
    result.max_sequences = sequences;
    result.context_size = 256;
    result.threads = 1;
    result.own_operators = false;  // as the references have it
    return result;
}

size_t vocabulary() { return static_cast<size_t>(testbed::chat_model()->info().vocabulary_size); }

std::vector<evaluate_entry> entry(int32_t sequence, std::vector<int32_t> tokens, bool generated = false) {
    evaluate_entry result;
    result.sequence = sequence;
    result.tokens = std::move(tokens);
    result.generated = generated;
    return {result};
}

/// Logits of the last token, of a prompt and then of three single tokens, one after another.
std::vector<float> run_alone(testbed::waiting_engine & engine, int32_t sequence, int prompt_index) {
    std::vector<float> all;
    std::vector<float> logits(vocabulary());
    for (int step = 0; step < 4; ++step) {
        engine.evaluate(step == 0 ? entry(sequence, testbed::prompt(prompt_index)) : entry(sequence, {20 + step}, true),
                        &logits);
        all.insert(all.end(), logits.begin(), logits.end());
    }
    return all;
}

float largest_difference(const std::vector<float> & a, const std::vector<float> & b) {
    float largest = a.size() == b.size() ? 0.0F : INFINITY;
    for (size_t i = 0; i < std::min(a.size(), b.size()); ++i) {
        largest = std::max(largest, std::fabs(a[i] - b[i]));
    }
    return largest;
}

}  // namespace

TEST(addition_is_bit_identical_with_upstreams_control_vectors) {
    const model_info & info = testbed::chat_model()->info();
    // Upstream's vectors begin at block 1.
    std::vector<int> layers;
    for (int layer = 1; layer < info.n_layers; ++layer) {
        layers.push_back(layer);
    }
    const auto set = testbed::directions(7, layers);
    constexpr float strength = 1.37F;
    std::vector<float> scaled;
    for (const int layer : layers) {
        std::transform(set->layer(layer)->write, set->layer(layer)->write + set->width(), std::back_inserter(scaled),
                       [](float value) { return strength * value; });
    }

    reference::plain_context theirs(1, 512, true, "");
    CHECK_EQ(llama_set_adapter_cvec(theirs.handle(), scaled.data(), scaled.size(), info.hidden_size, 1, info.n_layers),
             0);
    testbed::waiting_engine mine(options(1));
    mine.steer(0, {{set, strength, token_scope::all}});

    std::vector<float> logits(vocabulary());
    int32_t position = 0;
    for (int step = 0; step < 4; ++step) {
        const std::vector<int32_t> tokens = step == 0 ? testbed::prompt(1) : std::vector<int32_t>{30 + step};
        std::vector<reference::token> batch;
        for (size_t i = 0; i < tokens.size(); ++i) {
            batch.push_back({tokens[i], position++, 0, i + 1 == tokens.size()});
        }
        theirs.decode(batch);
        mine.evaluate(entry(0, tokens, step > 0), &logits);
        const std::vector<float> expected = theirs.logits(static_cast<int32_t>(batch.size()) - 1);
        CHECK(std::memcmp(logits.data(), expected.data(), logits.size() * sizeof(float)) == 0);
    }
}

TEST(no_steering_is_bit_identical_with_a_plain_context) {
    reference::plain_context theirs(1, 512, true, "");
    testbed::waiting_engine mine(options(1));
    std::vector<float> logits(vocabulary());
    const std::vector<int32_t> tokens = testbed::prompt(3);
    std::vector<reference::token> batch;
    for (size_t i = 0; i < tokens.size(); ++i) {
        batch.push_back({tokens[i], static_cast<int32_t>(i), 0, i + 1 == tokens.size()});
    }
    theirs.decode(batch);
    mine.evaluate(entry(0, tokens), &logits);
    const std::vector<float> expected = theirs.logits(static_cast<int32_t>(batch.size()) - 1);
    CHECK(std::memcmp(logits.data(), expected.data(), logits.size() * sizeof(float)) == 0);
}

TEST(eight_sequences_with_eight_strengths_equal_each_alone) {
    constexpr int count = 8;
    const auto set = testbed::directions(11);
    const auto strength = [](int sequence) { return -2.0F + 0.5F * static_cast<float>(sequence); };

    testbed::waiting_engine together(testbed::exact_options(count), testbed::exact_model());
    for (int sequence = 0; sequence < count; ++sequence) {
        together.steer(sequence, {{set, strength(sequence), token_scope::all}});
    }
    std::vector<std::vector<float>> mixed(count);
    for (int step = 0; step < 4; ++step) {
        std::vector<evaluate_entry> entries;
        for (int sequence = 0; sequence < count; ++sequence) {
            entries.push_back(step == 0 ? entry(sequence, testbed::prompt(sequence)).front()
                                        : entry(sequence, {20 + step}, true).front());
        }
        std::vector<float> logits(count * vocabulary());
        together.evaluate(entries, &logits);
        for (size_t sequence = 0; sequence < count; ++sequence) {
            const auto begin = logits.begin() + static_cast<long>(sequence * vocabulary());
            mixed[sequence].insert(mixed[sequence].end(), begin, begin + static_cast<long>(vocabulary()));
        }
    }

    std::vector<float> unsteered;
    for (int sequence = 0; sequence < count; ++sequence) {
        testbed::waiting_engine alone(testbed::exact_options(1), testbed::exact_model());
        alone.steer(0, {{set, strength(sequence), token_scope::all}});
        const std::vector<float> expected = run_alone(alone, 0, sequence);
        CHECK_NEAR(largest_difference(mixed[static_cast<size_t>(sequence)], expected), 0, 1e-4);
        if (sequence % 4 == 0) {
            testbed::waiting_engine plain(testbed::exact_options(1), testbed::exact_model());
            const float effect = largest_difference(run_alone(plain, 0, sequence), expected);
            CHECK(strength(sequence) == 0 ? effect == 0 : effect > 0.1F);
        }
    }
}

TEST(changing_strengths_and_directions_rebuilds_no_graph) {
    testbed::waiting_engine mine(options(1));
    mine.steer(0, {{testbed::directions(1), 1.0F, token_scope::all}});
    mine.evaluate(entry(0, testbed::prompt(0)));
    mine.evaluate(entry(0, {20}, true));
    const context_statistics before = mine.get().statistics();
    constexpr int steps = 20;
    for (int step = 0; step < steps; ++step) {
        mine.steer(0,
                   {{testbed::directions(step % 2 == 0 ? 1 : 2), 0.1F * static_cast<float>(step), token_scope::all}});
        mine.evaluate(entry(0, {20 + step}, true));
    }
    // Statistics are taken between operations: one more makes sure that the last step is in them.
    mine.steer(0, nullptr);
    const context_statistics after = mine.get().statistics();
    CHECK_EQ(after.graphs_built, before.graphs_built);
    CHECK(after.graphs_reused >= before.graphs_reused + steps);
}

TEST(a_scope_acts_on_its_tokens_only) {
    const auto set = testbed::directions(5, {2});
    const int64_t width = set->width();
    const struct {
        token_scope scope;
        bool prompt, last, generated;
    } cases[] = {{token_scope::all, true, true, true},
                 {token_scope::prompt, true, true, false},
                 {token_scope::last_prompt, false, true, false},
                 {token_scope::generated, false, false, true},
                 {token_scope::last_prompt_and_generated, false, true, true}};
    const std::vector<int32_t> prompt = testbed::prompt(0);

    // Layer 2 is the first that is steered: its rows are the unsteered ones plus the vector where the scope acts.
    const auto capture = [&](const std::vector<testbed::steering_term> & terms) {
        testbed::waiting_engine mine(options(1));
        std::vector<float> memory(static_cast<size_t>(width) * 64);
        const auto target = testbed::make_tap("residual", {2}, token_scope::all, memory.data(), 64, width);
        mine.attach(target);
        mine.steer(0, terms);
        mine.evaluate(entry(0, prompt));
        std::vector<float> rows(memory.begin(), memory.begin() + width * static_cast<long>(prompt.size()));
        mine.evaluate(entry(0, {25}, true));
        rows.insert(rows.end(), memory.begin(), memory.begin() + width);
        return rows;
    };
    const std::vector<float> plain = capture({});
    for (const auto & each : cases) {
        const std::vector<float> steered = capture({{set, 2.0F, each.scope}});
        for (size_t row = 0; row <= prompt.size(); ++row) {
            const bool acts = row == prompt.size()       ? each.generated
                              : row + 1 == prompt.size() ? each.last
                                                         : each.prompt;
            // The generated token attends to steered keys of layers above 2 only, so at layer 2 it is unchanged.
            float worst = 0;
            for (int64_t i = 0; i < width; ++i) {
                const size_t at = row * static_cast<size_t>(width) + static_cast<size_t>(i);
                const float expected = plain[at] + (acts ? 2.0F * set->layer(2)->write[i] : 0.0F);
                worst = std::max(worst, std::fabs(steered[at] - expected));
            }
            CHECK_NEAR(worst, 0, 1e-6);
        }
    }
}

TEST(several_terms_add_up_in_order) {
    const auto first = testbed::directions(1);
    const auto second = testbed::directions(2);
    testbed::waiting_engine both(testbed::exact_options(1), testbed::exact_model());
    both.steer(0, {{first, 0.5F, token_scope::all}, {second, -1.0F, token_scope::all}});
    const std::vector<float> twice = run_alone(both, 0, 0);

    // Not the same bits as one summed vector, but the same within rounding.
    const model_info & info = testbed::chat_model()->info();
    std::vector<float> sum;
    std::vector<int> layers;
    for (int layer = 0; layer < info.n_layers; ++layer) {
        layers.push_back(layer);
        for (int64_t i = 0; i < info.hidden_size; ++i) {
            sum.push_back(0.5F * first->layer(layer)->write[i] - second->layer(layer)->write[i]);
        }
    }
    const auto summed = std::make_shared<const direction_set>(sum.data(), info.hidden_size, layers, info.n_layers);
    testbed::waiting_engine one(testbed::exact_options(1), testbed::exact_model());
    one.steer(0, {{summed, 1.0F, token_scope::all}});
    CHECK_NEAR(largest_difference(twice, run_alone(one, 0, 0)), 0, 1e-4);
}

TEST(removing_steering_restores_every_bit) {
    testbed::waiting_engine mine(options(2));
    const std::vector<float> before = run_alone(mine, 0, 1);
    mine.truncate(0, 0);
    mine.steer(0, {{testbed::directions(3), 1.0F, token_scope::all}});
    const std::vector<float> steered = run_alone(mine, 0, 1);
    CHECK(largest_difference(before, steered) > 0.1F);
    mine.truncate(0, 0);
    mine.steer(0, nullptr);
    const std::vector<float> after = run_alone(mine, 0, 1);
    CHECK(std::memcmp(before.data(), after.data(), before.size() * sizeof(float)) == 0);
}

TEST(direction_sets_refuse_what_does_not_fit) {
    const std::vector<float> data(256, 0.5F);
    const auto make = [&](int64_t width, std::vector<int> layers) { direction_set(data.data(), width, layers, 8); };
    CHECK_THROWS_CODE(make(128, {8}), error_code::LAYER_OUT_OF_RANGE);
    CHECK_THROWS_CODE(make(128, {-1}), error_code::LAYER_OUT_OF_RANGE);
    CHECK_THROWS_CODE(make(128, {1, 1}), error_code::INVALID_ARGUMENT);
    CHECK_THROWS_CODE(make(128, {}), error_code::INVALID_ARGUMENT);
    std::vector<float> bad(128, 0.5F);
    for (const float value : {static_cast<float>(NAN), static_cast<float>(INFINITY)}) {
        bad[77] = value;
        CHECK_THROWS_CODE(direction_set(bad.data(), 128, {1}, 8), error_code::NOT_FINITE);
    }
}
