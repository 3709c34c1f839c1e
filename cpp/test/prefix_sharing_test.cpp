// Shared prefixes: taken where tokens and steering are the same, token by token, and only there.

#include "sharing_fixture.h"

using namespace llama_steer;
using namespace llama_steer::sharing;
using recipes::recipe;

namespace {

const std::shared_ptr<const model> & tiny() {
    static const std::shared_ptr<const model> loaded = synthetic::tiny_model("llama");
    return loaded;
}

const std::vector<int32_t> common = tokens_from(10, 20);

list_maker list_with(const std::function<void(intervention_request &)> & change = {}, uint64_t seed = 17) {
    return [=] {
        intervention_request made = request_of(*tiny(), {operation::clamp, 2, 1, -0.2F, 0.3F}, seed);
        if (change) {
            change(made);
        }
        return list_of({made});
    };
}

/// How many of the common tokens a sequence with the list `taker` takes from one with the list `donor`.
int32_t taken(const list_maker & donor, const list_maker & taker) {
    testbed::waiting_engine mine(exact_options(3), tiny());
    mine.steer(1, donor ? donor() : nullptr);
    mine.evaluate({entry(1, joined(common, {90, 91, 92}))});
    return check_taking(mine, 0, taker, joined(common, {100, 101}));
}

}  // namespace

TEST(prefixes_are_shared_between_equal_lists) {
    CHECK_EQ(taken(nullptr, nullptr), 20);
    CHECK_EQ(taken(nullptr, [] { return std::make_shared<const steering_list>(); }), 20);
    // Equal by content: the vectors lie in different objects.
    CHECK_EQ(taken(list_with(), list_with()), 20);
    for (const recipe & each : recipes::all_recipes()) {
        const list_maker list = [&] { return list_of({request_of(*tiny(), each)}); };
        CHECK_EQ(taken(list, list), 20);
    }
}

TEST(prefixes_are_not_shared_where_steering_differs) {
    const std::vector<std::function<void(intervention_request &)>> changes = {
        [](intervention_request & each) { each.numbers.strength = schedule::constant(0.9); },
        [](intervention_request & each) { each.numbers.low = -0.3F; },
        [](intervention_request & each) { each.numbers.high = 0.2F; },
        [](intervention_request & each) { each.site = site_id("mlp_out"); },
        [](intervention_request & each) { each.preserve_norm = true; },
        [](intervention_request & each) { each.tokens = token_scope::generated; },
        [](intervention_request & each) { each.when = condition_of(*tiny(), condition_latch::token, 0.1F); },
        [](intervention_request & each) { each.when = condition_of(*tiny(), condition_latch::prompt_mean, 0.1F); },
    };
    for (const auto & change : changes) {
        CHECK_EQ(taken(list_with(), list_with(change)), 0);
        CHECK_EQ(taken(list_with(change), list_with()), 0);
        CHECK_EQ(taken(list_with(change), list_with(change)), 20);
    }
    CHECK_EQ(taken(list_with(), nullptr), 0);
    CHECK_EQ(taken(nullptr, list_with()), 0);
    CHECK_EQ(taken(list_with({}, 17), list_with({}, 19)), 0);  // another vector
    const auto kind = [](operation each) {
        return [=] { return list_of({request_of(*tiny(), {each, 2, 1, -0.2F, 0.3F})}); };
    };
    CHECK_EQ(taken(kind(operation::track), kind(operation::clamp)), 0);
    CHECK_EQ(taken(kind(operation::add), kind(operation::ablate)), 0);
    // The same two in another order.
    const auto two = [](uint64_t first, uint64_t second) {
        return [=] {
            return list_of({request_of(*tiny(), {operation::add, 1, 1}, first),
                            request_of(*tiny(), {operation::ablate, 1, 1}, second)});
        };
    };
    CHECK_EQ(taken(two(3, 4), two(4, 3)), 0);
    CHECK_EQ(taken(two(3, 4), two(3, 4)), 20);
}

TEST(prefixes_are_not_shared_where_conditions_differ) {
    const auto with = [](condition_latch latch, float threshold, bool above, uint64_t seed) {
        return list_with(
            [=](intervention_request & each) { each.when = condition_of(*tiny(), latch, threshold, above, seed); });
    };
    for (const condition_latch latch : {condition_latch::token, condition_latch::last_prompt,
                                        condition_latch::prompt_mean, condition_latch::prompt_any}) {
        CHECK_EQ(taken(with(latch, 0.1F, true, 18), with(latch, 0.1F, true, 18)), 20);
        CHECK_EQ(taken(with(latch, 0.1F, true, 18), with(latch, 0.2F, true, 18)), 0);
        CHECK_EQ(taken(with(latch, 0.1F, true, 18), with(latch, 0.1F, false, 18)), 0);
        CHECK_EQ(taken(with(latch, 0.1F, true, 18), with(latch, 0.1F, true, 20)), 0);
    }
    CHECK_EQ(
        taken(with(condition_latch::prompt_any, 0.1F, true, 18), with(condition_latch::prompt_mean, 0.1F, true, 18)),
        0);
}

TEST(prefixes_are_shared_where_only_generated_tokens_differ) {
    const auto in_scope = [](token_scope scope, double strength) {
        return list_with([=](intervention_request & each) {
            each.tokens = scope;
            each.numbers.strength = schedule::constant(strength);
        });
    };
    CHECK_EQ(taken(in_scope(token_scope::generated, 1), in_scope(token_scope::generated, 0.3)), 20);
    CHECK_EQ(taken(in_scope(token_scope::generated, 1), nullptr), 20);
    CHECK_EQ(taken(nullptr, in_scope(token_scope::generated, 1)), 20);
    CHECK_EQ(taken(nullptr, in_scope(token_scope::last_prompt, 1)), 20);
    // Observing changes nothing.
    CHECK_EQ(taken([] { return list_of({request_of(*tiny(), {operation::observe, 2})}); }, nullptr), 20);
    // A schedule that begins with the answer.
    const list_maker later = list_with([](intervention_request & each) {
        each.numbers.strength =
            schedule({{token_scope::all,
                       {{-INFINITY, schedule_shape::constant, 0, 0, 0}, {1, schedule_shape::linear, 0.2, 1, 10}}}});
    });
    CHECK_EQ(taken(nullptr, later), 20);
}

/// The end of the donor's prompt is in the middle of the taker's, where `last_prompt` does not act.
TEST(prefixes_end_before_a_token_that_was_steered_as_the_last_of_its_prompt) {
    for (const token_scope scope : {token_scope::last_prompt, token_scope::last_prompt_and_generated}) {
        const list_maker list = list_with([=](intervention_request & each) { each.tokens = scope; });
        testbed::waiting_engine mine(exact_options(2), tiny());
        mine.steer(1, list());
        mine.evaluate({entry(1, common)});
        mine.evaluate({entry(1, {100}, true)});
        CHECK_EQ(check_taking(mine, 0, list, joined(common, {100, 101})), 19);
    }
    // The same prompt: its last token is always left to compute.
    testbed::waiting_engine same(exact_options(2), tiny());
    same.steer(1, list_with()());
    same.evaluate({entry(1, common)});
    CHECK_EQ(check_taking(same, 0, list_with(), common), 19);
}

TEST(prefixes_follow_numbers_that_changed_in_mid_prompt) {
    testbed::waiting_engine mine(exact_options(4), tiny());
    const list_ptr list = list_with()();
    mine.steer(3, list);
    mine.evaluate({entry(3, {common.begin(), common.begin() + 8}, false, false)});
    intervention_numbers changed = list->front()->numbers();
    changed.strength = schedule::constant(0.4);
    mine.set_numbers(list->front(), changed);
    mine.evaluate({entry(3, {common.begin() + 8, common.end()})});
    CHECK_EQ(check_taking(mine, 0, list_with(), common), 8);
    CHECK_EQ(check_taking(mine, 1, list_with([](intervention_request & each) {
                              each.numbers.strength = schedule::constant(0.4);
                          }),
                          joined(tokens_from(10, 19), {200})),
             0);
}

TEST(prefixes_follow_what_the_donor_still_holds) {
    testbed::waiting_engine mine(exact_options(5), tiny());
    mine.steer(4, list_with()());
    mine.evaluate({entry(4, common)});
    mine.truncate(4, 5);
    CHECK_EQ(check_taking(mine, 0, list_with(), common), 5);
    mine.truncate(0, 0);
    mine.evaluate({entry(4, joined({common.begin() + 5, common.begin() + 7}, {200, 201, 202}))});
    CHECK_EQ(check_taking(mine, 1, list_with(), common), 7);
    // The longest beginning counts: sequence 1 holds all of it now.
    CHECK_EQ(check_taking(mine, 2, list_with(), joined(common, {210})), 20);
    for (const int32_t each : {1, 2, 4}) {
        mine.truncate(each, 0);
    }
    CHECK_EQ(check_taking(mine, 3, list_with(), common), 0);
}

TEST(prefixes_outlive_their_donor) {
    testbed::waiting_engine mine(exact_options(3), tiny());
    mine.steer(1, list_with()());
    mine.evaluate({entry(1, common)});
    mine.steer(0, list_with()());
    const std::vector<int32_t> prompt = joined(common, {100, 101});
    CHECK_EQ(mine.share_prefix(0, prompt), 20);
    mine.truncate(1, 0);
    mine.steer(1, nullptr);
    mine.evaluate({entry(1, tokens_from(120, 60)), entry(2, tokens_from(190, 60))});
    testbed::waiting_engine fresh(exact_options(1), tiny());
    fresh.steer(0, list_with()());
    CHECK_NEAR(distance(logits_of(mine, 0, prompt, 20), logits_of(fresh, 0, prompt, 0)), 0, 1e-5);
}

TEST(prefixes_refuse_what_cannot_take_any) {
    testbed::waiting_engine mine(exact_options(2), tiny());
    mine.evaluate({entry(1, common)});
    CHECK_EQ(mine.share_prefix(0, {}), 0);
    CHECK_EQ(mine.share_prefix(0, {common.front()}), 0);
    for (const int32_t token : {-1, tiny()->info().vocabulary_size}) {
        CHECK_THROWS_CODE(mine.share_prefix(0, joined(common, {token})), error_code::INVALID_ARGUMENT);
    }
    CHECK_EQ(mine.get().position(0), 0);
    CHECK_THROWS_CODE(mine.share_prefix(1, common), error_code::SEQUENCE_BUSY);
    context_options separate = exact_options(2);
    separate.unified_memory = false;
    testbed::waiting_engine apart(separate, tiny());
    apart.evaluate({entry(1, common)});
    CHECK_THROWS_CODE(apart.share_prefix(0, common), error_code::INVALID_ARGUMENT);
}
