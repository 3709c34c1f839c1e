// Conditions that are decided by a prompt: the same whatever passes the prompt is split into, whoever else is in the
// batch, and however its sequence came to hold it.

#include "check.h"
#include "latch_fixture.h"

#include <algorithm>

using namespace llama_steer;
using namespace llama_steer::latches;

namespace {

constexpr condition_latch all_latches[] = {condition_latch::last_prompt, condition_latch::prompt_mean,
                                           condition_latch::prompt_any};

context_options options(int32_t batch, int32_t threads, int32_t sequences = 1) {
    context_options result = exact_options(sequences);
    result.batch_size = batch;
    result.threads = threads;
    return result;
}

}  // namespace

TEST(latches_decide_for_the_last_prompt_token_and_the_answer) {
    const fixture tiny("llama");
    const std::vector<int32_t> prompt = tokens_from(10, 23);
    const std::vector<int32_t> answer = tokens_from(200, 4);
    for (const condition_latch latch : all_latches) {
        for (const condition_measure measure : {condition_measure::cosine, condition_measure::projection}) {
            for (const bool above : {true, false}) {
                for (const bool fulfilled : {true, false}) {
                    watched_engine mine(tiny, options(512, 1));
                    const latch_case each{latch, measure, above, early_layer};
                    mine.steer(0, tiny.list(tiny.condition_for(each, prompt, fulfilled)));
                    const std::vector<bool> in_prompt = mine.feed(0, prompt);
                    const std::vector<bool> in_answer = mine.feed(0, answer, true);
                    CHECK_EQ(std::count(in_prompt.begin(), in_prompt.end(), true), fulfilled ? 1 : 0);
                    CHECK_EQ(in_prompt.back(), fulfilled);
                    CHECK_EQ(std::count(in_answer.begin(), in_answer.end(), fulfilled), 4);
                }
            }
        }
    }
}

TEST(latches_do_not_depend_on_passes_threads_or_the_rest_of_the_batch) {
    const struct run_case {
        int32_t batch;  ///< tokens in a pass: batch_size is that of all sequences at least
        int32_t threads;
        int32_t sequences;
    } cases[] = {{512, 1, 1}, {512, 1, 2}, {7, 1, 1}, {7, 2, 2}, {1, 1, 1}, {2, 1, 2}};
    for (const char * architecture : {"llama", "qwen3next"}) {
        const fixture tiny(architecture);
        const std::vector<int32_t> prompt = tokens_from(10, 23);
        for (const condition_latch latch : all_latches) {
            for (const bool fulfilled : {true, false}) {
                const auto when =
                    tiny.condition_for({latch, condition_measure::projection, true, early_layer}, prompt, fulfilled);
                for (const run_case & each : cases) {
                    watched_engine mine(tiny, options(each.batch, each.threads, each.sequences));
                    const int32_t own = each.sequences - 1;
                    mine.steer(own, tiny.list(when));
                    if (each.sequences > 1) {
                        mine.steer(0, tiny.list(nullptr));
                        mine.accompany({0});
                    }
                    std::vector<bool> expected(prompt.size(), false);
                    expected.back() = fulfilled;
                    CHECK(mine.feed(own, prompt) == expected);
                    CHECK_EQ(mine.feed(own, {210}, true).front(), fulfilled);
                }
            }
        }
    }
}

/// A prompt that its caller gives in pieces is one prompt.
TEST(latches_decide_at_the_end_of_a_prompt_in_pieces) {
    const fixture tiny("llama");
    const std::vector<int32_t> prompt = tokens_from(10, 23);
    for (const condition_latch latch : all_latches) {
        for (const bool fulfilled : {true, false}) {
            watched_engine mine(tiny, options(512, 1));
            mine.steer(0, tiny.list(tiny.condition_for({latch, condition_measure::cosine, true, early_layer}, prompt,
                                                       fulfilled)));
            std::vector<bool> acts = mine.feed(0, {prompt.begin(), prompt.begin() + 9}, false, false);
            const std::vector<bool> middle = mine.feed(0, {prompt.begin() + 9, prompt.begin() + 10}, false, false);
            const std::vector<bool> rest = mine.feed(0, {prompt.begin() + 10, prompt.end()});
            acts.insert(acts.end(), middle.begin(), middle.end());
            acts.insert(acts.end(), rest.begin(), rest.end());
            std::vector<bool> expected(prompt.size(), false);
            expected.back() = fulfilled;
            CHECK(acts == expected);
            CHECK_EQ(mine.feed(0, {210}, true).front(), fulfilled);
        }
    }
}

/// What is measured after the place where it is needed is not known there for the last prompt token.
TEST(latches_measured_behind_their_place_decide_for_the_answer_only) {
    const fixture tiny("llama");
    const std::vector<int32_t> prompt = tokens_from(10, 23);
    for (const condition_latch latch : all_latches) {
        for (const int layer : {place_layer, late_layer}) {
            watched_engine mine(tiny, options(512, layer == place_layer ? 2 : 1));
            mine.steer(
                0, tiny.list(tiny.condition_for({latch, condition_measure::projection, true, layer}, prompt, true)));
            const std::vector<bool> acts = mine.feed(0, prompt);
            // At the place itself the last token's own row is measured before it is changed; the others of a mean may
            // still be at work on other threads.
            const bool known = layer == place_layer && latch == condition_latch::last_prompt;
            CHECK_EQ(std::count(acts.begin(), acts.end(), true), known ? 1 : 0);
            CHECK_EQ(acts.back(), known);
            CHECK(mine.feed(0, {210}, true).front());
        }
    }
}

TEST(latches_decide_anew_for_every_prompt_of_a_conversation) {
    const fixture tiny("llama");
    const std::vector<int32_t> first = tokens_from(10, 12);
    const std::vector<int32_t> second = tokens_from(60, 9);
    for (const condition_latch latch : all_latches) {
        for (const bool first_fulfils : {true, false}) {
            const latch_case each{latch, condition_measure::projection, true, early_layer};
            const std::vector<int32_t> answer = tokens_from(200, 3);
            const auto when = tiny.condition_between(each, first, answer, second, first_fulfils);
            watched_engine mine(tiny, options(7, 1));
            mine.steer(0, tiny.list(when));
            CHECK_EQ(mine.feed(0, first).back(), first_fulfils);
            CHECK(mine.feed(0, answer, true) == std::vector<bool>(3, first_fulfils));
            std::vector<bool> expected(second.size(), false);
            expected.back() = !first_fulfils;
            CHECK(mine.feed(0, second) == expected);
            CHECK(mine.feed(0, answer, true) == std::vector<bool>(3, !first_fulfils));
        }
    }
}

/// The last token of an answer that was generated is evaluated together with the next prompt, and is the answer's.
TEST(latches_count_the_last_token_of_an_answer_to_its_own_prompt) {
    const fixture tiny("llama");
    const std::vector<int32_t> first = tokens_from(10, 12);
    const std::vector<int32_t> second = tokens_from(60, 9);
    for (const bool fulfilled : {true, false}) {
        watched_engine mine(tiny, options(512, 1));
        const latch_case each{condition_latch::last_prompt, condition_measure::projection, true, early_layer};
        mine.steer(0, tiny.list(tiny.condition_for(each, first, fulfilled)));
        mine.answer(0, first, 3);
        CHECK_EQ(mine.feed(0, second).front(), fulfilled);
    }
}
