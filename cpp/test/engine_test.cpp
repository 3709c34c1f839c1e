// The engine: order, cancelling, shutting down, and that a failed or aborted operation leaves nothing behind.

#include "check.h"
#include "testbed.h"

#include <atomic>
#include <chrono>
#include <thread>

using namespace llama_steer;

namespace {

context_options options(int32_t sequences, int32_t batch = 512) {
    context_options result;
    result.max_sequences = sequences;
    result.context_size = 256;
    result.batch_size = batch;
    result.threads = 1;
    return result;
}

generate_request request(int32_t sequence, std::vector<int32_t> prompt, int32_t max_tokens = 24) {
    generate_request result;
    result.sequence = sequence;
    result.prompt = std::move(prompt);
    result.max_tokens = max_tokens;
    return result;
}

/// A prompt that fills most of a sequence.
std::vector<int32_t> long_prompt(size_t length) {
    std::vector<int32_t> tokens;
    while (tokens.size() < length) {
        const std::vector<int32_t> part = testbed::prompt(static_cast<int>(tokens.size() % 4));
        tokens.insert(tokens.end(), part.begin(), part.end());
    }
    tokens.resize(length);
    return tokens;
}

std::vector<evaluate_entry> entry(int32_t sequence, std::vector<int32_t> tokens) {
    evaluate_entry result;
    result.sequence = sequence;
    result.tokens = std::move(tokens);
    return {result};
}

/// An answer that does not end by itself within the test.
generate_request endless(int32_t sequence) {
    generate_request result = request(sequence, testbed::prompt(sequence), 10000);
    const llama_vocab * vocabulary = testbed::chat_model()->vocabulary();
    for (int32_t token = 0; token < testbed::chat_model()->info().vocabulary_size; ++token) {
        if (llama_vocab_is_eog(vocabulary, token)) {
            result.sampling.logit_bias.push_back({token, -INFINITY});
        }
    }
    return result;
}

}  // namespace

TEST(answers_of_many_sequences_equal_each_alone) {
    constexpr int count = 6;
    testbed::waiting_engine together(options(count, 32));
    std::vector<operation_id> ids;
    for (int sequence = 0; sequence < count; ++sequence) {
        ids.push_back(together.get().generate(request(sequence, testbed::prompt(sequence))));
    }
    for (int sequence = 0; sequence < count; ++sequence) {
        testbed::waiting_engine alone(options(1));
        const operation_id id = alone.get().generate(request(0, testbed::prompt(sequence)));
        CHECK(together.finish(ids[static_cast<size_t>(sequence)]) == alone.finish(id));
    }
}

TEST(a_conversation_goes_on_where_it_ended) {
    testbed::waiting_engine mine(options(1));
    const std::vector<int32_t> first = mine.finish(mine.get().generate(request(0, testbed::prompt(0), 5)));
    CHECK_EQ(first.size(), 5U);
    // The fifth token has been chosen but not evaluated: what comes next brings it along.
    CHECK_EQ(mine.get().position(0), static_cast<int32_t>(testbed::prompt(0).size()) + 4);
    const std::vector<int32_t> more = mine.finish(mine.get().generate(request(0, testbed::prompt(1), 8)));

    std::vector<int32_t> whole = testbed::prompt(0);
    whole.insert(whole.end(), first.begin(), first.end());
    const std::vector<int32_t> next = testbed::prompt(1);
    whole.insert(whole.end(), next.begin(), next.end());
    testbed::waiting_engine fresh(options(1));
    CHECK(more == fresh.finish(fresh.get().generate(request(0, whole, 8))));
}

TEST(a_sequence_that_is_full_ends_its_answer) {
    testbed::waiting_engine mine(options(1));
    generate_request full = endless(0);
    full.prompt = long_prompt(250);
    CHECK_EQ(mine.finish(mine.get().generate(full)).size(), 7U);
    CHECK_EQ(mine.get().position(0), 256);
    CHECK_THROWS_CODE(mine.evaluate(entry(0, {5})), error_code::PROMPT_TOO_LONG);
    CHECK_THROWS_CODE(mine.finish(mine.get().generate(request(0, {5}))), error_code::PROMPT_TOO_LONG);
}

TEST(cancelling_ends_an_answer_and_frees_its_sequence) {
    testbed::waiting_engine mine(options(2));
    const operation_id cancelled = mine.get().generate(endless(0));
    const operation_id kept = mine.get().generate(request(1, testbed::prompt(1)));
    mine.await_tokens(cancelled, 3);
    CHECK_THROWS_CODE(mine.evaluate(entry(0, {5})), error_code::SEQUENCE_BUSY);
    CHECK_THROWS_CODE(mine.finish(mine.get().generate(request(0, {5}))), error_code::SEQUENCE_BUSY);
    CHECK_THROWS_CODE(mine.truncate(0, 0), error_code::SEQUENCE_BUSY);
    mine.get().cancel(cancelled);
    CHECK_THROWS_CODE(mine.finish(cancelled), error_code::ABORTED);
    CHECK(!mine.finish(kept).empty());
    mine.truncate(0, 0);
    CHECK_EQ(mine.get().position(0), 0);
    CHECK(!mine.finish(mine.get().generate(request(0, testbed::prompt(0)))).empty());
}

TEST(cancelling_what_is_queued_or_unknown_is_safe) {
    testbed::waiting_engine mine(options(2));
    for (int round = 0; round < 20; ++round) {
        const operation_id first = mine.get().generate(request(0, testbed::prompt(0), 3));
        const operation_id second = mine.get().generate(request(1, testbed::prompt(1), 3));
        mine.get().cancel(second);
        mine.get().cancel(second);
        mine.get().cancel(123456);
        mine.finish(first);
        CHECK_THROWS_CODE(mine.finish(second), error_code::ABORTED);
        mine.truncate(0, 0);
        mine.truncate(1, 0);
        CHECK_EQ(mine.get().position(1), 0);
    }
}

TEST(an_aborted_evaluation_leaves_nothing_behind) {
    constexpr int32_t sequences = 16;
    testbed::waiting_engine mine(options(sequences, 64));
    mine.evaluate(entry(0, testbed::prompt(0)));
    const int32_t before = mine.get().position(0);
    int aborted = 0;
    for (int round = 0; round < 12; ++round) {
        evaluate_request work;
        for (int32_t sequence = 0; sequence < sequences; ++sequence) {
            work.entries.push_back(entry(sequence, long_prompt(150)).front());
        }
        std::promise<bool> done;
        const operation_id id = mine.get().evaluate(
            std::move(work),
            [&](evaluate_result &&, std::exception_ptr failure) { done.set_value(failure != nullptr); });
        std::this_thread::sleep_for(std::chrono::milliseconds(round));
        mine.get().cancel(id);
        const bool failed = done.get_future().get();
        aborted += failed ? 1 : 0;
        for (int32_t sequence = 0; sequence < sequences; ++sequence) {
            const int32_t start = sequence == 0 ? before : 0;
            CHECK_EQ(mine.get().position(sequence), failed ? start : start + 150);
            mine.truncate(sequence, start);
        }
    }
    CHECK(aborted > 0);
    // What was there before still answers as if nothing had happened.
    const auto after = mine.finish(mine.get().generate(request(0, testbed::prompt(1), 6)));
    testbed::waiting_engine fresh(options(1));
    fresh.evaluate(entry(0, testbed::prompt(0)));
    CHECK(after == fresh.finish(fresh.get().generate(request(0, testbed::prompt(1), 6))));
}

TEST(shutting_down_at_any_moment_answers_everything_once) {
    for (int round = 0; round < 25; ++round) {
        std::atomic<int> ends{0};
        std::atomic<int> answered{0};
        {
            engine target(testbed::chat_model(), options(4),
                          [&](step_events && events) { ends += static_cast<int>(events.ends.size()); });
            target.generate(endless(0));
            target.generate(endless(1));
            for (int i = 0; i < 3; ++i) {
                evaluate_request work;
                work.entries = entry(2, testbed::prompt(i));
                target.evaluate(std::move(work), [&](evaluate_result &&, std::exception_ptr) { ++answered; });
                target.set_steering(3, nullptr, [&](std::exception_ptr) { ++answered; });
            }
            std::this_thread::sleep_for(std::chrono::microseconds(300 * round));
            if (round % 2 == 0) {
                target.shutdown(false, nullptr);
                target.generate(endless(3));
            }
        }
        CHECK_EQ(ends.load(), round % 2 == 0 ? 3 : 2);
        CHECK_EQ(answered.load(), 6);
    }
}

TEST(bad_requests_are_refused_before_anything_happens) {
    testbed::waiting_engine mine(options(2));
    CHECK_THROWS_CODE(mine.evaluate({}), error_code::PROMPT_EMPTY);
    CHECK_THROWS_CODE(mine.evaluate(entry(0, {})), error_code::PROMPT_EMPTY);
    CHECK_THROWS_CODE(mine.evaluate(entry(7, {1})), error_code::INVALID_ARGUMENT);
    CHECK_THROWS_CODE(mine.evaluate(entry(-1, {1})), error_code::INVALID_ARGUMENT);
    CHECK_THROWS_CODE(mine.evaluate(entry(0, {-1})), error_code::INVALID_ARGUMENT);
    CHECK_THROWS_CODE(mine.evaluate(entry(0, {899})), error_code::INVALID_ARGUMENT);
    CHECK_THROWS_CODE(mine.evaluate(entry(0, long_prompt(257))), error_code::PROMPT_TOO_LONG);
    CHECK_THROWS_CODE(mine.evaluate({entry(0, {1}).front(), entry(0, {2}).front()}), error_code::INVALID_ARGUMENT);
    std::vector<float> small(10);
    CHECK_THROWS_CODE(mine.evaluate(entry(0, {1}), &small), error_code::BUFFER_TOO_SMALL);
    generate_request hot = request(0, {1});
    for (const float value : {-1.0F, static_cast<float>(NAN), static_cast<float>(INFINITY)}) {
        hot.sampling.temperature = value;
        CHECK_THROWS_CODE(mine.finish(mine.get().generate(hot)), error_code::INVALID_ARGUMENT);
    }
    CHECK_EQ(mine.get().position(0), 0);
    CHECK(!mine.finish(mine.get().generate(request(0, testbed::prompt(0)))).empty());
}

/// A held evaluation keeps its place: what is called after it waits, generations go on, and it can still be ended.
TEST(a_held_evaluation_waits_in_its_place) {
    testbed::waiting_engine mine(options(3));
    const auto evaluate = [&](int32_t sequence, std::vector<int32_t> tokens, bool held) {
        evaluate_request request;
        request.entries = entry(sequence, std::move(tokens));
        auto promise = std::make_shared<std::promise<void>>();
        const operation_id id = mine.get().evaluate(
            std::move(request),
            [promise](evaluate_result &&, std::exception_ptr failure) {
                failure ? promise->set_exception(failure) : promise->set_value();
            },
            held);
        return std::make_pair(id, promise->get_future());
    };
    const operation_id answer = mine.get().generate(endless(2));
    mine.await_tokens(answer, 2);

    auto first = evaluate(0, {5, 6, 7}, true);
    auto second = evaluate(1, {5}, true);
    auto third = evaluate(0, {8}, false);
    mine.await_tokens(answer, 20);
    CHECK_EQ(mine.get().position(0), 0);
    mine.get().start(second.first);
    mine.get().cancel(third.first);
    mine.await_tokens(answer, 40);
    CHECK_EQ(mine.get().position(1), 0);
    mine.get().start(first.first);
    first.second.get();
    second.second.get();
    CHECK_THROWS_CODE(third.second.get(), error_code::ABORTED);
    CHECK_EQ(mine.get().position(0), 3);
    CHECK_EQ(mine.get().position(1), 1);

    auto fourth = evaluate(0, {8}, true);
    mine.get().cancel(fourth.first);
    CHECK_THROWS_CODE(fourth.second.get(), error_code::ABORTED);
    auto last = evaluate(0, {8}, true);
    mine.get().stop();
    CHECK_THROWS_CODE(last.second.get(), error_code::DISPOSED);
    CHECK_EQ(mine.get().position(0), 3);
}
