// Conditions decided by prompts, where a sequence is cut back and goes on in another way.

#include "check.h"
#include "latch_fixture.h"

#include <algorithm>

using namespace llama_steer;
using namespace llama_steer::latches;

namespace {

constexpr condition_latch all_latches[] = {condition_latch::last_prompt, condition_latch::prompt_mean,
                                           condition_latch::prompt_any};

const fixture & tiny() {
    static const fixture made("llama");
    return made;
}

latch_case above(condition_latch latch) { return {latch, condition_measure::projection, true, early_layer}; }

std::vector<int32_t> joined(std::vector<int32_t> tokens, const std::vector<int32_t> & more) {
    tokens.insert(tokens.end(), more.begin(), more.end());
    return tokens;
}

/// True for the last of `count` only, if at all.
std::vector<bool> at_the_end(size_t count, bool fulfilled) {
    std::vector<bool> expected(count, false);
    expected.back() = fulfilled;
    return expected;
}

}  // namespace

TEST(latches_forget_a_prompt_that_was_cut_off) {
    const std::vector<int32_t> first = tokens_from(10, 12);
    const std::vector<int32_t> second = tokens_from(60, 15);
    for (const condition_latch latch : all_latches) {
        for (const bool fulfilled : {true, false}) {
            watched_engine mine(tiny(), exact_options(1));
            mine.steer(0, tiny().list(tiny().condition_for(above(latch), second, fulfilled)));
            mine.feed(0, first);
            mine.feed(0, {200, 201}, true);
            mine.engine().truncate(0, 0);
            CHECK(mine.feed(0, second) == at_the_end(second.size(), fulfilled));
            CHECK_EQ(mine.feed(0, {210}, true).front(), fulfilled);
        }
    }
}

/// What is left of a prompt counts together with what comes instead of the rest.
TEST(latches_keep_what_is_left_of_a_prompt) {
    const std::vector<int32_t> first = tokens_from(10, 12);
    const std::vector<int32_t> rest = tokens_from(60, 6);
    const std::vector<int32_t> whole = joined({first.begin(), first.begin() + 7}, rest);
    for (const condition_latch latch : all_latches) {
        for (const bool fulfilled : {true, false}) {
            watched_engine mine(tiny(), exact_options(1));
            mine.steer(0, tiny().list(tiny().condition_for(above(latch), whole, fulfilled)));
            mine.feed(0, first);
            mine.feed(0, {200}, true);
            mine.engine().truncate(0, 7);
            CHECK(mine.feed(0, rest) == at_the_end(rest.size(), fulfilled));
            CHECK_EQ(mine.feed(0, {210}, true).front(), fulfilled);
        }
    }
}

/// A later prompt that was cut off leaves the decision of the one before.
TEST(latches_return_to_the_prompt_before) {
    const std::vector<int32_t> first = tokens_from(10, 12);
    const std::vector<int32_t> answer = tokens_from(200, 3);
    const std::vector<int32_t> second = tokens_from(60, 9);
    for (const condition_latch latch : all_latches) {
        for (const bool fulfilled : {true, false}) {
            const auto when = tiny().condition_between(above(latch), first, answer, second, fulfilled);
            for (const int32_t position : {15, 14, 12}) {
                watched_engine mine(tiny(), exact_options(1));
                mine.steer(0, tiny().list(when));
                mine.feed(0, first);
                mine.feed(0, answer, true);
                CHECK_EQ(mine.feed(0, second).back(), !fulfilled);
                mine.feed(0, {220}, true);
                mine.engine().truncate(0, position);
                CHECK_EQ(mine.feed(0, {230}, true).front(), fulfilled);
                // Once more, and then another prompt after all.
                CHECK_EQ(mine.feed(0, second).back(), !fulfilled);
                CHECK_EQ(mine.feed(0, {231}, true).front(), !fulfilled);
            }
        }
    }
}

/// What was measured on tokens that are gone must not count, also where nothing was measured on those instead of them.
TEST(latches_do_not_count_tokens_that_are_gone) {
    const std::vector<int32_t> gone = tokens_from(10, 12);
    const std::vector<int32_t> unmeasured = tokens_from(100, 12);
    const std::vector<int32_t> rest = tokens_from(60, 4);
    for (const condition_latch latch : {condition_latch::prompt_mean, condition_latch::prompt_any}) {
        const latch_case each = above(latch);
        std::vector<double> values = tiny().measured(each, joined(unmeasured, rest));
        values.erase(values.begin(), values.begin() + 12);
        const double decisive = fixture::decided_by(each, values);
        for (const bool fulfilled : {true, false}) {
            watched_engine mine(tiny(), exact_options(1));
            const auto list =
                tiny().list(tiny().condition_with(each, decisive + (fulfilled ? -fixture::margin : fixture::margin)));
            mine.steer(0, list);
            mine.feed(0, gone, false, false);
            mine.engine().truncate(0, 0);
            mine.steer(0, nullptr);
            mine.feed(0, unmeasured, false, false);
            mine.steer(0, list);
            CHECK(mine.feed(0, rest) == at_the_end(rest.size(), fulfilled));
        }
    }
}

/// An answer that follows no prompt, as far as the condition knows, is decided by nothing: not even by its opposite.
TEST(latches_decide_nothing_without_a_prompt) {
    for (const condition_latch latch : all_latches) {
        for (const bool negated : {false, true}) {
            auto when = tiny().condition_with(above(latch), -1e6);
            if (negated) {
                when = std::make_shared<const condition>(
                    condition::rule::negate, std::vector<condition_ptr>{tiny().condition_with(above(latch), 1e6)});
            }
            watched_engine mine(tiny(), exact_options(1));
            mine.steer(0, tiny().list(when));
            CHECK(!mine.feed(0, {200}, true).front());
            // The same for the end of an answer that comes along with the next prompt.
            watched_engine later(tiny(), exact_options(1));
            later.answer(0, tokens_from(10, 5), 2);
            later.steer(0, tiny().list(when));
            const std::vector<bool> acts = later.feed(0, tokens_from(60, 4));
            CHECK_EQ(acts.size(), 5U);
            CHECK(!acts.front() && acts.back());
        }
    }
}

/// Nor does an earlier prompt decide for the answer to one on which nothing was measured.
TEST(latches_decide_nothing_for_a_prompt_that_was_not_measured) {
    const std::vector<int32_t> first = tokens_from(10, 12);
    for (const condition_latch latch : all_latches) {
        watched_engine mine(tiny(), exact_options(1));
        const auto list = tiny().list(tiny().condition_with(above(latch), -1e6));
        mine.steer(0, list);
        CHECK(mine.feed(0, first).back());
        CHECK(mine.feed(0, {200, 201}, true).back());
        mine.steer(0, nullptr);
        mine.feed(0, tokens_from(60, 5));
        mine.steer(0, list);
        CHECK(!mine.feed(0, {202}, true).back());
        // The answer goes on over passes, and the next prompt is measured again.
        CHECK(!mine.feed(0, {203}, true).back());
        CHECK(mine.feed(0, tokens_from(80, 4)).back());
        CHECK(mine.feed(0, {204}, true).back());
        CHECK(mine.feed(0, {205}, true).back());
    }
}
