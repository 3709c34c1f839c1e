// Answers that join a running batch: how prompts enter it, and what the memory holds and was promised meanwhile.

#include "check.h"
#include "engine/prompt_shares.h"
#include "testbed.h"

#include <functional>
#include <numeric>

using namespace llama_steer;

namespace {

constexpr int32_t budget = 8;

context_options options(int32_t sequences, int32_t prompt_budget = budget) {
    context_options result = testbed::exact_options(sequences, 320);
    result.prompt_budget = prompt_budget;
    result.batch_size = 128;
    return result;
}

std::vector<int32_t> long_prompt(size_t length) {
    std::vector<int32_t> tokens;
    while (tokens.size() < length) {
        const std::vector<int32_t> part = testbed::prompt(static_cast<int>(tokens.size() % 4));
        tokens.insert(tokens.end(), part.begin(), part.end());
    }
    tokens.resize(length);
    return tokens;
}

generate_request request(int32_t sequence, std::vector<int32_t> prompt, int32_t max_tokens) {
    generate_request result;
    result.sequence = sequence;
    result.prompt = std::move(prompt);
    result.max_tokens = max_tokens;
    return result;
}

/// An answer of exactly `length` tokens.
generate_request endless(int32_t sequence, std::vector<int32_t> prompt, int32_t length) {
    generate_request result = request(sequence, std::move(prompt), length);
    const llama_vocab * vocabulary = testbed::exact_model()->vocabulary();
    for (int32_t token = 0; token < testbed::exact_model()->info().vocabulary_size; ++token) {
        if (llama_vocab_is_eog(vocabulary, token)) {
            result.sampling.logit_bias.push_back({token, -INFINITY});
        }
    }
    return result;
}

/// What a step brought: of which generations, and how many tokens were computed for it.
struct recorded_step {
    std::vector<operation_id> answered;
    context_statistics after;
};

/// Runs an answer, and from its third token on the requests given; records every step until all have ended.
class recording_run {
public:
    recording_run(const context_options & how, generate_request running, std::vector<generate_request> joining)
        : joining_(std::move(joining)),
          engine_(testbed::exact_model(), how, [this](step_events && events) { record(events); }) {
        // Held until the first id is there: steps may be taken at once.
        std::unique_lock<std::mutex> lock(mutex_);
        ids.push_back(engine_.generate(std::move(running)));
        ended_.wait(lock, [&] { return ends_ == joining_.size() + 1; });
    }

    /// The step, counted from 0, in which a generation brought its first token.
    size_t first_step(size_t which) const {
        for (size_t i = 0; i < steps.size(); ++i) {
            if (brings(i, which)) {
                return i;
            }
        }
        return SIZE_MAX;
    }
    bool brings(size_t step, size_t which) const {
        const std::vector<operation_id> & found = steps[step].answered;
        return std::find(found.begin(), found.end(), ids[which]) != found.end();
    }
    uint64_t computed(size_t step) const { return steps[step].after.tokens - steps[step - 1].after.tokens; }

    std::vector<operation_id> ids;  ///< of the running answer, then of those that joined
    std::vector<recorded_step> steps;
    std::map<operation_id, std::vector<int32_t>> tokens;

private:
    void record(const step_events & events) {
        const std::lock_guard<std::mutex> lock(mutex_);
        recorded_step step;
        for (const generated_token & each : events.tokens) {
            step.answered.push_back(each.generation);
            tokens[each.generation].push_back(each.token.chosen.token);
        }
        step.after = engine_.statistics();
        steps.push_back(std::move(step));
        ends_ += events.ends.size();
        if (steps.size() == 3) {
            for (const generate_request & each : joining_) {
                ids.push_back(engine_.generate(each));
            }
        }
        ended_.notify_all();
    }

    std::vector<generate_request> joining_;
    size_t ends_ = 0;
    std::mutex mutex_;
    std::condition_variable ended_;
    engine engine_;  // last: its thread uses the others
};

}  // namespace

namespace {

/// Calls `check` with prompts of random lengths, and with room for a token of each and more.
void with_random_prompts(uint32_t seed, const std::function<void(const std::vector<int32_t> &, int32_t)> & check) {
    testbed::generator random(seed);
    const auto below = [&](int32_t limit) {
        return static_cast<int32_t>((random() + 1.0F) / 2.0F * static_cast<float>(limit));
    };
    for (int round = 0; round < 500; ++round) {
        std::vector<int32_t> wanted(static_cast<size_t>(1 + below(9)));
        for (int32_t & each : wanted) {
            each = 1 + below(40);
        }
        check(wanted, static_cast<int32_t>(wanted.size()) + below(100));
    }
}

int32_t sum(const std::vector<int32_t> & values) { return std::accumulate(values.begin(), values.end(), 0); }

}  // namespace

TEST(shares_are_equal_and_leave_nothing_that_is_wanted) {
    using shares = std::vector<int32_t>;
    CHECK(fair_shares({}, 8) == shares{});
    CHECK(fair_shares({5}, 8) == shares{5});
    CHECK(fair_shares({50}, 8) == shares{8});
    CHECK((fair_shares({100, 2, 100}, 12) == shares{5, 2, 5}));
    CHECK((fair_shares({9, 9, 9}, 8) == shares{3, 3, 2}));
    CHECK((fair_shares({9, 9}, 0) == shares{0, 0}));
    with_random_prompts(3, [](const std::vector<int32_t> & wanted, int32_t room) {
        const std::vector<int32_t> given = fair_shares(wanted, room);
        CHECK_EQ(sum(given), std::min(sum(wanted), room));
        for (size_t i = 0; i < wanted.size(); ++i) {
            CHECK(given[i] >= 1 && given[i] <= wanted[i]);
            for (size_t k = 0; k < wanted.size(); ++k) {
                // Who got less than it wanted got no less than anybody else, but for what cannot be divided.
                CHECK(given[i] == wanted[i] || given[i] + 1 >= given[k]);
            }
        }
    });
}

TEST(half_of_the_room_goes_to_the_shortest) {
    using shares = std::vector<int32_t>;
    CHECK(prompt_shares({}, 8) == shares{});
    CHECK(prompt_shares({50}, 8) == shares{8});
    CHECK((prompt_shares({9, 9}, 8) == shares{6, 2}));
    CHECK((prompt_shares({100, 20, 100}, 24) == shares{4, 16, 4}));
    CHECK((prompt_shares({100, 5, 100}, 24) == shares{15, 5, 4}));
    CHECK((prompt_shares({9, 9, 9}, 3) == shares{1, 1, 1}));
    CHECK((prompt_shares({9, 9, 9}, 2) == shares{1, 1, 0}));
    CHECK((prompt_shares({9, 9}, 0) == shares{0, 0}));
    with_random_prompts(4, [](const std::vector<int32_t> & wanted, int32_t room) {
        const std::vector<int32_t> given = prompt_shares(wanted, room);
        const std::vector<int32_t> least = fair_shares(wanted, (room + 1) / 2);
        CHECK_EQ(sum(given), std::min(sum(wanted), room));
        for (size_t i = 0; i < wanted.size(); ++i) {
            CHECK(given[i] >= std::max(least[i], 1) && given[i] <= wanted[i]);
            for (size_t k = 0; k < wanted.size(); ++k) {
                // While a shorter one lacks something, a longer one has nothing of the second half.
                CHECK(wanted[i] >= wanted[k] || given[i] == wanted[i] || given[k] <= least[k] + 1);
            }
        }
    });
}

TEST(a_short_prompt_takes_all_while_what_it_is_lent_is_little) {
    using shares = std::vector<int32_t>;
    prompt_divider prompts;
    CHECK(prompts.divide({}, 8) == shares{});
    CHECK((prompts.divide({{50, 50}}, 8) == shares{8}));
    // Not short beside each other, however little is left.
    CHECK((prompts.divide({{100, 100}, {60, 6}}, 8) == shares{2, 6}));
    CHECK_EQ(prompts.lent(), 0);
    CHECK((prompts.divide({{100, 100}, {50, 50}}, 8) == shares{0, 8}));
    CHECK_EQ(prompts.lent(), 2);
    // Before what is nearly through.
    CHECK((prompts.divide({{100, 5}, {50, 7}}, 8) == shares{1, 7}));
    CHECK_EQ(prompts.lent(), 6);
    CHECK((prompts.divide({{100, 100}, {20, 3}, {100, 100}, {3, 3}}, 8) == shares{2, 3, 0, 3}));
    CHECK_EQ(prompts.lent(), 7);
    // What was lent is given back.
    CHECK((prompts.divide({{100, 100}}, 8) == shares{8}));
    CHECK_EQ(prompts.lent(), 3);
    CHECK((prompts.divide({{100, 100}, {3, 3}}, 0) == shares{0, 0}));
}

TEST(a_stream_of_short_prompts_slows_long_ones_and_never_stops_them) {
    prompt_divider prompts;
    int32_t longs = 0;
    constexpr int32_t passes = 1000;
    constexpr int32_t room = 16;
    for (int32_t pass = 0; pass < passes; ++pass) {
        const std::vector<int32_t> given = prompts.divide({{1000, 1000}, {20, 20}, {1000, 1000}}, room);
        CHECK_EQ(sum(given), room);
        CHECK(prompts.lent() <= prompt_divider::limit);
        longs += given[0] + given[2];
    }
    // In the long run a pass in three at least is not lent, and gives the long ones five of sixteen.
    CHECK(longs >= passes / 3 * 5);
    with_random_prompts(5, [&](const std::vector<int32_t> & wanted, int32_t room_of_pass) {
        std::vector<entering_prompt> entering;
        for (size_t i = 0; i < wanted.size(); ++i) {
            entering.push_back({wanted[i] * static_cast<int32_t>(1 + i % 3), wanted[i]});
        }
        const std::vector<int32_t> given = prompts.divide(entering, room_of_pass);
        CHECK_EQ(sum(given), std::min(sum(wanted), room_of_pass));
        for (size_t i = 0; i < wanted.size(); ++i) {
            CHECK(given[i] >= 0 && given[i] <= wanted[i]);
        }
    });
}

TEST(a_running_answer_gets_a_token_in_every_step_while_a_long_prompt_enters) {
    const recording_run run(options(2), endless(0, testbed::prompt(0), 60), {request(1, long_prompt(250), 4)});
    const size_t first = run.first_step(1);
    // 250 tokens at 8 a step, the first 8 in the fourth.
    CHECK_EQ(first, size_t{3 + 31});
    for (size_t step = 3; step <= first; ++step) {
        CHECK(run.brings(step, 0));
        CHECK_EQ(run.computed(step), step == first ? 1U + 250U - 31U * 8U : 1U + 8U);
    }
    // Without a budget it enters in the two passes that it needs.
    const recording_run greedy(options(2, 0), endless(0, testbed::prompt(0), 60), {request(1, long_prompt(250), 4)});
    CHECK_EQ(greedy.first_step(1), size_t{3 + 1});
    CHECK(greedy.tokens.at(greedy.ids[0]) == run.tokens.at(run.ids[0]));
    CHECK(greedy.tokens.at(greedy.ids[1]) == run.tokens.at(run.ids[1]));
}

TEST(a_short_prompt_does_not_wait_for_the_long_ones_before_it) {
    const std::vector<int32_t> brief = testbed::prompt(2);
    const recording_run run(options(4), endless(0, testbed::prompt(0), 80),
                            {request(1, long_prompt(200), 2), request(2, long_prompt(200), 2), request(3, brief, 2)});
    const size_t steps = run.first_step(3) - 3 + 1;
    CHECK_EQ(steps, (brief.size() + 7) / 8);
    CHECK(run.first_step(1) > run.first_step(3) + 20);
    CHECK(run.first_step(2) > run.first_step(3) + 20);
}

TEST(the_budget_holds_where_nobody_waits_and_without_one_the_whole_batch_is_for_prompts) {
    for (const auto & [given, passes] : {std::pair{50, 5U}, std::pair{0, 2U}}) {
        testbed::waiting_engine mine(options(1, given), testbed::exact_model());
        mine.finish(mine.get().generate(request(0, long_prompt(250), 1)));
        CHECK_EQ(mine.get().statistics().decodes, passes);
    }
}

TEST(memory_held_and_promised_never_exceed_what_was_asked_for) {
    const std::vector<int32_t> prompt = long_prompt(100);
    const recording_run run(options(3), endless(0, prompt, 40),
                            {endless(1, prompt, 20), endless(2, long_prompt(50), 500)});
    const auto total = [&](size_t step) {
        return run.steps[step].after.held_tokens + run.steps[step].after.promised_tokens;
    };
    // The last token of an answer is chosen and not computed any more.
    for (size_t step = 0; step < 3; ++step) {
        CHECK_EQ(total(step), 100 + 39);
    }
    CHECK_EQ(total(3), 100 + 39 + 100 + 19 + 320);
    for (size_t step = 1; step < run.steps.size(); ++step) {
        CHECK(step == 3 || total(step) <= total(step - 1));
    }
    CHECK_EQ(total(run.steps.size() - 1), 100 + 39 + 100 + 19 + 320);
    CHECK_EQ(run.steps.back().after.promised_tokens, 0);
}

TEST(what_sequences_share_is_held_once_and_freed_with_the_last_of_them) {
    testbed::waiting_engine mine(options(3), testbed::exact_model());
    const auto held = [&] { return mine.get().statistics().held_tokens; };
    const std::vector<int32_t> prompt = long_prompt(40);
    generate_request first = endless(0, prompt, 11);
    mine.finish(mine.get().generate(first));
    CHECK_EQ(held(), 50);
    generate_request second = endless(1, prompt, 6);
    second.share_prefix = true;
    mine.finish(mine.get().generate(second));
    CHECK_EQ(held(), 50 + 1 + 5);
    mine.truncate(0, 0);
    CHECK_EQ(held(), 45);
    CHECK_EQ(mine.share_prefix(2, prompt), 39);
    CHECK_EQ(held(), 45);
    mine.truncate(1, 0);
    CHECK_EQ(held(), 39);
    mine.truncate(2, 10);
    CHECK_EQ(held(), 10);
    mine.truncate(2, 0);
    CHECK_EQ(held(), 0);
}

TEST(a_promise_ends_with_a_cancelled_or_refused_answer) {
    testbed::waiting_engine mine(options(2), testbed::exact_model());
    const operation_id id = mine.get().generate(endless(0, testbed::prompt(0), 200));
    mine.await_tokens(id, 3);
    CHECK_THROWS_CODE(mine.finish(mine.get().generate(request(0, {5}, 20))), error_code::SEQUENCE_BUSY);
    mine.get().cancel(id);
    CHECK_THROWS_CODE(mine.finish(id), error_code::ABORTED);
    CHECK_EQ(mine.get().statistics().promised_tokens, 0);
    CHECK_EQ(mine.get().statistics().held_tokens, mine.get().position(0));
}
