// The clock of the tokens (batch_layout::step), and strengths that follow it.

#include "steering/schedule.h"

#include "check.h"

#include <array>
#include <cmath>
#include <limits>

using namespace llama_steer;

namespace {

constexpr double always = -std::numeric_limits<double>::infinity();
constexpr double nan_value = std::numeric_limits<double>::quiet_NaN();
constexpr double infinite = std::numeric_limits<double>::infinity();

/// Sets a span of one sequence and returns the steps of its tokens.
std::vector<int64_t> steps_of(batch_layout & layout, const sequence_span & span, int32_t sequence = 0) {
    layout.set(sequence, span);
    std::vector<int64_t> steps;
    for (int32_t i = 0; i < span.n_tokens; ++i) {
        steps.push_back(layout.step(sequence, span.first_position + i));
    }
    return steps;
}

sequence_span prompt(int32_t first, int32_t count, int32_t end, int32_t carried = 0) {
    return {first, count, carried, false, end};
}

sequence_span answer(int32_t first, int32_t count = 1) { return {first, count, 0, true, -1}; }

using steps = std::vector<int64_t>;

schedule_segment held(double begin, double value) { return {begin, schedule_shape::constant, value, 0, 0}; }

/// A schedule of the step alone.
schedule stepwise(std::vector<schedule_segment> segments) {
    return schedule({{token_scope::all, std::move(segments)}});
}

double value_at(const schedule & strengths, int64_t step) {
    const batch_layout layout(1);
    return strengths.at(layout, 0, 0, step, false);
}

token_selection between(std::vector<int32_t> open, std::vector<int32_t> close) {
    token_selection selection(token_scope::between);
    selection.open = std::move(open);
    selection.close = std::move(close);
    return selection;
}

error_code code_of(const std::vector<schedule_segment> & segments) {
    try {
        stepwise(segments);
    } catch (const error & failure) {
        return failure.code();
    }
    return error_code::INTERNAL;
}

}  // namespace

TEST(step_counts_from_the_last_prompt_token) {
    batch_layout layout(1);
    CHECK(steps_of(layout, prompt(0, 4, 4)) == (steps{-3, -2, -1, 0}));
    for (int32_t i = 0; i < 5; ++i) {
        layout.clear();
        CHECK(steps_of(layout, answer(4 + i)) == (steps{1 + i}));
    }
}

TEST(step_of_a_prompt_in_pieces_whose_end_is_known) {
    batch_layout layout(1);
    CHECK(steps_of(layout, prompt(0, 3, 7)) == (steps{-6, -5, -4}));
    layout.clear();
    CHECK(steps_of(layout, prompt(3, 4, 7)) == (steps{-3, -2, -1, 0}));
    CHECK(steps_of(layout, answer(7)) == (steps{1}));
}

TEST(step_of_a_prompt_in_pieces_whose_end_comes_with_the_last) {
    batch_layout layout(1);
    const int64_t far = batch_layout::far_before;
    CHECK(steps_of(layout, prompt(0, 2, -1)) == (steps{far, far}));
    CHECK(steps_of(layout, prompt(2, 2, -1)) == (steps{far, far}));
    CHECK(steps_of(layout, prompt(4, 2, 6)) == (steps{-1, 0}));
    CHECK(steps_of(layout, answer(6, 2)) == (steps{1, 2}));
    CHECK(far < std::numeric_limits<int32_t>::min());
}

TEST(step_of_an_answer_where_no_prompt_ended) {
    batch_layout layout(3);
    // Nothing came before.
    CHECK(steps_of(layout, answer(0, 3)) == (steps{1, 2, 3}));
    CHECK(steps_of(layout, answer(3, 2)) == (steps{4, 5}));
    // Inside a prompt, before the end that was announced.
    steps_of(layout, prompt(0, 4, 8), 1);
    CHECK(steps_of(layout, answer(4, 2), 1) == (steps{1, 2}));
    // Behind a prompt that never said where it ends.
    steps_of(layout, prompt(0, 4, -1), 2);
    CHECK(steps_of(layout, answer(4, 2), 2) == (steps{1, 2}));
}

TEST(step_of_carried_tokens_goes_on_with_the_answer_before) {
    batch_layout layout(1);
    steps_of(layout, prompt(0, 3, 3));
    steps_of(layout, answer(3, 2));
    CHECK(steps_of(layout, prompt(5, 4, 9, 1)) == (steps{3, -2, -1, 0}));
    CHECK(steps_of(layout, answer(9)) == (steps{1}));
    // The carried token alone, in a pass of its own: the answer goes on, and the prompt follows.
    CHECK(steps_of(layout, prompt(10, 1, 13, 1)) == (steps{2}));
    CHECK(steps_of(layout, prompt(11, 2, 13)) == (steps{-1, 0}));
    CHECK(steps_of(layout, answer(13)) == (steps{1}));
    // No prompt after it at all: one answer, continued.
    CHECK(steps_of(layout, prompt(14, 1, 15, 1)) == (steps{2}));
    CHECK(steps_of(layout, answer(15)) == (steps{3}));
}

TEST(step_of_a_new_prompt_after_an_answer) {
    batch_layout layout(1);
    steps_of(layout, prompt(0, 3, 3));
    steps_of(layout, answer(3, 4));
    CHECK(steps_of(layout, prompt(7, 3, 10)) == (steps{-2, -1, 0}));
    CHECK(steps_of(layout, answer(10, 2)) == (steps{1, 2}));
}

TEST(step_after_a_cut) {
    batch_layout layout(1);
    const auto restart = [&] {
        steps_of(layout, prompt(0, 3, 3));
        steps_of(layout, answer(3, 6));
        steps_of(layout, prompt(9, 3, 12));
        steps_of(layout, answer(12, 4));
    };
    restart();
    // In the middle of the second answer, at its beginning, in the middle of the first.
    CHECK(steps_of(layout, answer(14)) == (steps{3}));
    CHECK(steps_of(layout, answer(12)) == (steps{1}));
    CHECK(steps_of(layout, answer(5, 2)) == (steps{3, 4}));
    CHECK(steps_of(layout, answer(7)) == (steps{5}));
    restart();
    // Inside a prompt: the tokens there are an answer now.
    CHECK(steps_of(layout, answer(11, 2)) == (steps{1, 2}));
    restart();
    // To nothing.
    CHECK(steps_of(layout, answer(0)) == (steps{1}));
    restart();
    CHECK(steps_of(layout, prompt(0, 2, 2)) == (steps{-1, 0}));
    CHECK(steps_of(layout, answer(2)) == (steps{1}));
}

/// A request is looked at before it runs, and may be refused then.
TEST(step_is_not_misled_by_spans_that_are_never_decoded) {
    batch_layout layout(1);
    steps_of(layout, prompt(0, 3, 3));
    steps_of(layout, answer(3, 2));
    steps_of(layout, prompt(5, 10, 15));
    CHECK(steps_of(layout, answer(5)) == (steps{3}));
    steps_of(layout, prompt(6, 4, 10, 1));
    CHECK(steps_of(layout, answer(6)) == (steps{4}));
}

TEST(step_is_kept_by_sequence) {
    batch_layout layout(2);
    layout.set(0, prompt(0, 2, 2));
    layout.set(1, prompt(0, 5, 5));
    layout.clear();
    layout.set(0, answer(2));
    layout.set(1, answer(5));
    CHECK_EQ(layout.step(0, 2), 1);
    CHECK_EQ(layout.step(1, 5), 1);
    layout.clear();
    layout.set(0, prompt(3, 2, 5));
    layout.set(1, answer(6));
    CHECK_EQ(layout.step(0, 4), 0);
    CHECK_EQ(layout.step(1, 6), 2);
}

/// Against a list of what every token is, over conversations at random with cuts anywhere.
TEST(step_at_random) {
    uint32_t state = 20260;
    const auto below = [&](uint32_t bound) {
        state = state * 1664525U + 1013904223U;
        return static_cast<int32_t>((state >> 8) % bound);
    };
    batch_layout layout(1);
    std::vector<bool> generated;
    for (int round = 0; round < 4000; ++round) {
        if (below(4) == 0) {
            generated.resize(static_cast<size_t>(below(static_cast<uint32_t>(generated.size()) + 1)));
        }
        const auto first = static_cast<int32_t>(generated.size());
        const int32_t count = 1 + below(4);
        const bool is_answer = below(2) == 0;
        const bool after_answer = first > 0 && generated.back();
        const int32_t carried = !is_answer && after_answer ? below(2) : 0;
        const int32_t end = is_answer || below(3) == 0 ? -1 : first + count;
        for (int32_t i = 0; i < count; ++i) {
            generated.push_back(is_answer || i < carried);
        }
        const steps found = steps_of(layout, {first, count, carried, is_answer, end});
        for (int32_t i = 0; i < count; ++i) {
            int64_t expected = end < 0 ? batch_layout::far_before : first + i - end + 1;
            if (generated[static_cast<size_t>(first + i)]) {
                expected = 0;
                for (int32_t at = first + i; at >= 0 && generated[static_cast<size_t>(at)]; --at) {
                    ++expected;
                }
            }
            CHECK_EQ(found[static_cast<size_t>(i)], expected);
        }
    }
}

TEST(schedule_shapes) {
    const schedule strengths = stepwise({held(always, 1),
                                         {0, schedule_shape::linear, 1, 3, 4},
                                         {10, schedule_shape::cosine, 3, -1, 4},
                                         {20, schedule_shape::exponential, -1, 7, 2},
                                         held(30, 0.5)});
    CHECK(!strengths.is_constant());
    const std::vector<std::pair<int64_t, double>> expected = {
        {batch_layout::far_before, 1},
        {-1, 1},
        {0, 1},
        {1, 1.5},
        {2, 2},
        {3, 2.5},
        {4, 3},
        {9, 3},
        {10, 3},
        {11, 1 + std::sqrt(2.0)},
        {12, 1},
        {13, 1 - std::sqrt(2.0)},
        {14, -1},
        {19, -1},
        {20, -1},
        {22, 3},
        {24, 5},
        {21, 7 - 8 / std::sqrt(2.0)},
        {29, 7 - 8 * std::pow(2, -4.5)},
        {30, 0.5},
        {int64_t{1} << 40, 0.5},
    };
    for (const auto & [step, value] : expected) {
        CHECK_NEAR(value_at(strengths, step), value, 1e-14);
    }
}

TEST(schedule_of_one_strength) {
    const schedule constant = schedule::constant(-1.75);
    CHECK(constant.is_constant());
    CHECK_EQ(value_at(constant, batch_layout::far_before), -1.75);
    CHECK_EQ(value_at(constant, 1000), -1.75);
    CHECK(schedule({}).is_constant());
    CHECK_EQ(value_at(schedule({}), 3), 0.0);
    // One strength, of some tokens only.
    CHECK(!schedule({{token_scope::generated, {held(always, 2)}}}).is_constant());
}

TEST(schedule_takes_the_first_phase_that_has_the_token) {
    const schedule strengths({{between({7}, {8}), {held(always, 10), {4, schedule_shape::linear, 10, 20, 2}}},
                              {token_scope::prompt, {held(always, 1), held(0, 2)}},
                              {token_scope::generated, {held(always, 3)}}});
    batch_layout layout(2);
    const std::array<int32_t, 8> tokens = {1, 7, 2, 3, 4, 8, 5, 6};
    const auto values = [&](const sequence_span & span) {
        layout.set(1, span, tokens.data() + span.first_position);
        std::vector<double> found;
        for (int32_t i = span.first_position; i <= span.last_position(); ++i) {
            found.push_back(strengths.at(layout, 1, i, layout.step(1, i), false));
        }
        return found;
    };
    // An opened think block ends the prompt: inside it, the clock runs on; markers themselves are not inside.
    CHECK(values(prompt(0, 2, 2)) == (std::vector<double>{1, 2}));
    CHECK(values(answer(2, 6)) == (std::vector<double>{10, 10, 10, 3, 3, 3}));
    // The same conversation, opened earlier: the ramp within begins with step 4.
    const std::array<int32_t, 8> later = {7, 1, 1, 1, 1, 1, 1, 8};
    layout.set(1, prompt(0, 1, 1), later.data());
    std::vector<double> found;
    for (int32_t i = 1; i < 8; ++i) {
        layout.set(1, answer(i), later.data() + i);
        found.push_back(strengths.at(layout, 1, i, layout.step(1, i), true));
    }
    CHECK(found == (std::vector<double>{10, 10, 10, 10, 15, 20, 3}));
}

TEST(schedule_without_a_phase_for_the_token_is_zero) {
    const schedule strengths({{token_scope::generated, {held(always, 3)}}});
    batch_layout layout(1);
    layout.set(0, prompt(0, 2, 2));
    CHECK_EQ(strengths.at(layout, 0, 1, 0, true), 0.0);
    layout.set(0, answer(2));
    CHECK_EQ(strengths.at(layout, 0, 2, 1, true), 3.0);
}

TEST(schedule_hashes_its_content) {
    const auto make = [](double value, double length, int32_t open, token_scope scope) {
        return schedule({{between({open}, {8}), {held(always, value), {2, schedule_shape::linear, value, 0, length}}},
                         {scope, {held(always, 1)}}})
            .hash();
    };
    const uint64_t hash = make(1, 4, 7, token_scope::all);
    CHECK_EQ(make(1, 4, 7, token_scope::all), hash);
    CHECK(make(1.0000000000000002, 4, 7, token_scope::all) != hash);
    CHECK(make(1, 5, 7, token_scope::all) != hash);
    CHECK(make(1, 4, 9, token_scope::all) != hash);
    CHECK(make(1, 4, 7, token_scope::prompt) != hash);
    CHECK_EQ(schedule::constant(0.0).hash(), schedule::constant(-0.0).hash());
    CHECK_EQ(schedule::constant(2).hash(), stepwise({{always, schedule_shape::constant, 2, 5, 6}}).hash());
    CHECK(schedule::constant(2).hash() != schedule({}).hash());
    // A boundary between lists is part of the content.
    const auto two = [](std::vector<int32_t> open, std::vector<int32_t> close) {
        return schedule({{between(std::move(open), std::move(close)), {held(always, 1)}}}).hash();
    };
    CHECK(two({1, 2}, {3}) != two({1}, {2, 3}));
}

TEST(schedule_refuses_what_has_no_value) {
    CHECK_EQ(code_of({}), error_code::INVALID_ARGUMENT);
    CHECK_EQ(code_of({held(0, 1)}), error_code::INVALID_ARGUMENT);
    CHECK_EQ(code_of({{always, schedule_shape::linear, 0, 1, 1}}), error_code::INVALID_ARGUMENT);
    CHECK_EQ(code_of({held(always, 1), held(3, 1), held(3, 2)}), error_code::INVALID_ARGUMENT);
    CHECK_EQ(code_of({held(always, 1), held(3, 1), held(2, 2)}), error_code::INVALID_ARGUMENT);
    CHECK_EQ(code_of({held(always, 1), held(nan_value, 1)}), error_code::INVALID_ARGUMENT);
    CHECK_EQ(code_of({held(always, 1), held(infinite, 1)}), error_code::INVALID_ARGUMENT);
    CHECK_EQ(code_of({held(always, 1), {0, schedule_shape::linear, 0, 1, 0}}), error_code::INVALID_ARGUMENT);
    CHECK_EQ(code_of({held(always, 1), {0, schedule_shape::cosine, 0, 1, -1}}), error_code::INVALID_ARGUMENT);
    CHECK_EQ(code_of({held(always, 1), {0, schedule_shape::exponential, 0, 1, nan_value}}),
             error_code::INVALID_ARGUMENT);
    CHECK_EQ(code_of({held(always, 1), {0, schedule_shape::exponential, 0, 1, infinite}}),
             error_code::INVALID_ARGUMENT);
    CHECK_EQ(code_of({held(always, 1), {0, static_cast<schedule_shape>(4), 0, 1, 1}}), error_code::INVALID_ARGUMENT);
    CHECK_EQ(code_of({held(always, nan_value)}), error_code::NOT_FINITE);
    CHECK_EQ(code_of({held(always, 1), {0, schedule_shape::linear, 0, infinite, 1}}), error_code::NOT_FINITE);
    const std::string message = CHECK_THROWS_CODE(stepwise({held(always, 1), {0, schedule_shape::linear, 0, 1, 0}}),
                                                  error_code::INVALID_ARGUMENT);
    CHECK(message.find("phase 0, segment 1") != std::string::npos);
}
