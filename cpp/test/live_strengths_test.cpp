// Strengths that a function of the caller tells before every pass.

#include "live_fixture.h"

#include <atomic>
#include <chrono>
#include <thread>

using namespace llama_steer;
using namespace llama_steer::live;

TEST(live_strengths_are_asked_once_for_each_pass_and_act_in_it) {
    // An answer that tells the pass: 0.5 at position 0 and so on.
    recorder asked([](const live_request & each) { return 0.5 + 0.01 * static_cast<double>(each.position); });
    testbed::waiting_engine mine(options(2, 16), tiny(), asked.source());
    testbed::waiting_engine plain(options(2, 16), tiny());
    const testbed::recording rows(token_scope::all, 64, "residual", *tiny());
    const testbed::recording plain_rows(token_scope::all, 64, "residual", *tiny());
    mine.attach(rows.target);
    plain.attach(plain_rows.target);
    mine.steer(1, live_list());
    const formulas::row addition_row = addition().action(place_layer).vectors[0];
    const auto check_rows = [&](const std::vector<evaluate_entry> & entries, const std::vector<double> & strengths) {
        const evaluate_result result = mine.evaluate(entries);
        plain.evaluate(entries);
        for (size_t i = 0; i < strengths.size(); ++i) {
            const size_t width = addition_row.size();
            const formulas::row expected =
                formulas::plus(formulas::row_of(plain_rows.row(place_layer, static_cast<int64_t>(i)), width),
                               strengths[i], addition_row);
            const formulas::row found = formulas::row_of(rows.row(place_layer, static_cast<int64_t>(i)), width);
            CHECK_NEAR(formulas::relative_distance(found, expected), 0, 1e-5);
        }
        CHECK_EQ(result.captures.front().full.size(), strengths.size());
    };
    // 30 prompt tokens in passes of 16 and 14, then two tokens of the answer; sequence 0 is not steered.
    std::vector<double> strengths(30, 0.65);
    std::fill(strengths.begin() + 16, strengths.end(), 0.79);
    check_rows({entry(1, tokens_from(40, 30))}, strengths);
    check_rows({entry(0, tokens_from(100, 3))}, {0, 0, 0});
    check_rows({entry(0, {104}), entry(1, {120}, true)}, {0, 0.80});
    check_rows({entry(1, {121}, true)}, {0.81});
    const struct {
        int32_t position;
        int64_t step;
        bool generated;
        int32_t token;
    } expected[] = {{15, -14, false, 55}, {29, 0, false, 69}, {30, 1, true, 120}, {31, 2, true, 121}};
    const auto calls = asked.calls();
    CHECK_EQ(calls.size(), 4U);
    for (size_t i = 0; i < std::min<size_t>(calls.size(), 4); ++i) {
        CHECK_EQ(calls[i].size(), 1U);
        const recorder::question & question = calls[i].front();
        CHECK_EQ(question.sequence, 1);
        CHECK_EQ(question.position, expected[i].position);
        CHECK_EQ(question.step, expected[i].step);
        CHECK_EQ(question.generated, expected[i].generated);
        CHECK_EQ(question.token, expected[i].token);
    }
}

TEST(live_strengths_of_answers_are_asked_once_for_each_step) {
    recorder asked([](const live_request & each) { return each.sequence == 0 ? 0.3 : -0.2; });
    testbed::waiting_engine mine(options(2), tiny(), asked.source());
    mine.steer(0, live_list());
    mine.steer(1, live_list());
    const operation_id first = mine.get().generate(request(0, 40, 9, 6), true);
    const operation_id second = mine.get().generate(request(1, 80, 5, 6), true);
    mine.get().start(first);
    mine.get().start(second);
    CHECK_EQ(mine.finish(first).size(), 6U);
    CHECK_EQ(mine.finish(second).size(), 6U);
    const int32_t n_prompt[] = {9, 5};
    int32_t next[] = {0, 0};
    for (const auto & call : asked.calls()) {
        for (const recorder::question & each : call) {
            const int32_t expected = next[each.sequence]++;
            CHECK_EQ(each.step, static_cast<int64_t>(expected));
            CHECK_EQ(each.position, n_prompt[each.sequence] - 1 + expected);
            CHECK_EQ(each.generated, expected > 0);
        }
    }
    // A prompt and five tokens of an answer are computed; the sixth is chosen only.
    CHECK_EQ(next[0], 6);
    CHECK_EQ(next[1], 6);
    for (const int32_t sequence : {0, 1}) {
        testbed::waiting_engine fixed(options(1), tiny());
        intervention_request constant = addition().request();
        constant.numbers.strength = schedule::constant(sequence == 0 ? 0.3 : -0.2);
        fixed.steer(0, std::make_shared<const steering_list>(steering_list{std::make_shared<intervention>(constant)}));
        const operation_id id = fixed.get().generate(request(0, sequence == 0 ? 40 : 80, n_prompt[sequence], 6));
        CHECK(fixed.finish(id) == mine.finish(sequence == 0 ? first : second));
    }
}

TEST(live_strengths_that_fail_end_their_answer_only) {
    for (const double failure : {static_cast<double>(NAN), static_cast<double>(INFINITY), 1e300}) {
        for (const int64_t fails_at : {int64_t{0}, int64_t{3}}) {
            recorder asked(
                [&](const live_request & each) { return each.sequence == 0 && each.step == fails_at ? failure : 0.3; });
            testbed::waiting_engine mine(options(2), tiny(), asked.source());
            mine.steer(0, live_list());
            mine.steer(1, live_list());
            const operation_id failing = mine.get().generate(request(0, 40, 9, 8), true);
            const operation_id other = mine.get().generate(request(1, 80, 5, 8), true);
            mine.get().start(failing);
            mine.get().start(other);
            CHECK_THROWS_CODE(mine.finish(failing), error_code::SCHEDULE_FAILED);
            CHECK_EQ(mine.finish(other).size(), 8U);
            // As before the pass: nothing where the prompt failed, else what the passes before left.
            CHECK_EQ(mine.get().position(0), fails_at == 0 ? 0 : 8 + static_cast<int32_t>(fails_at));

            recorder steady([](const live_request &) { return 0.3; });
            testbed::waiting_engine fresh(options(2), tiny(), steady.source());
            fresh.steer(0, live_list());
            fresh.steer(1, live_list());
            CHECK(fresh.finish(fresh.get().generate(request(1, 80, 5, 8))) == mine.finish(other));
            if (fails_at > 0) {
                // The token that was chosen last is still pending in both.
                CHECK_EQ(fresh.finish(fresh.get().generate(request(0, 40, 9, 3))).size(), 3U);
                CHECK_EQ(fresh.get().position(0), mine.get().position(0));
            }
            // What comes next is what an untroubled sequence gives.
            mine.steer(0, nullptr);
            fresh.steer(0, nullptr);
            check_equal(logits_after(mine, 0, 200), logits_after(fresh, 0, 200), 1e-5);
        }
    }
}

TEST(live_strengths_that_fail_leave_nothing_of_an_evaluation) {
    std::atomic<bool> broken{true};
    recorder asked([&](const live_request & each) {
        return broken && each.sequence == 1 && each.position > 25 ? static_cast<double>(NAN) : 0.3;
    });
    testbed::waiting_engine mine(options(3, 16), tiny(), asked.source());
    recorder steady([](const live_request &) { return 0.3; });
    testbed::waiting_engine untroubled(options(3, 16), tiny(), steady.source());
    for (testbed::waiting_engine * each : {&mine, &untroubled}) {
        each->steer(0, live_list());
        each->steer(1, live_list());
        each->evaluate({entry(0, tokens_from(10, 4)), entry(1, tokens_from(20, 4))});
    }
    const std::vector<evaluate_entry> entries = {entry(0, tokens_from(100, 20)), entry(1, tokens_from(130, 40)),
                                                 entry(2, tokens_from(180, 5))};
    CHECK_THROWS_CODE(mine.evaluate(entries), error_code::SCHEDULE_FAILED);
    CHECK(asked.calls().size() > 3);  // several passes had run
    CHECK_EQ(mine.get().position(0), 4);
    CHECK_EQ(mine.get().position(1), 4);
    CHECK_EQ(mine.get().position(2), 0);
    broken = false;
    std::vector<float> after(65 * static_cast<size_t>(tiny()->info().vocabulary_size));
    std::vector<float> expected(after.size());
    mine.evaluate(entries, &after);
    untroubled.evaluate(entries, &expected);
    check_equal(after, expected, 1e-5);
}

TEST(live_strengths_without_an_answer_fail) {
    const std::vector<live_source> sources = {
        nullptr, [](const std::vector<live_request> &, const interrupted_probe &) { return std::vector<double>(); },
        [](const std::vector<live_request> & requests, const interrupted_probe &) {
            return std::vector<double>(requests.size() - 1, 0.5);  // one too few
        }};
    for (const live_source & source : sources) {
        testbed::waiting_engine mine(options(1), tiny(), source);
        mine.steer(0, live_list());
        CHECK_THROWS_CODE(mine.evaluate({entry(0, {5, 6})}), error_code::SCHEDULE_FAILED);
        CHECK_EQ(mine.get().position(0), 0);
        CHECK_THROWS_CODE(mine.finish(mine.get().generate(request(0, 10, 3, 2))), error_code::SCHEDULE_FAILED);
        mine.steer(0, nullptr);
        mine.evaluate({entry(0, {5, 6})});
    }
}

TEST(live_strengths_do_not_hold_up_what_is_interrupted) {
    std::atomic<bool> waiting{false};
    std::atomic<bool> release{false};
    const live_source stubborn = [&](const std::vector<live_request> & requests,
                                     const interrupted_probe & interrupted) {
        waiting = true;
        while (!interrupted() && !release) {
            std::this_thread::sleep_for(std::chrono::milliseconds(1));
        }
        return std::vector<double>(requests.size(), 0.5);
    };
    const auto await = [&] {
        while (!waiting) {
            std::this_thread::sleep_for(std::chrono::milliseconds(1));
        }
        waiting = false;
    };
    testbed::waiting_engine mine(options(2), tiny(), stubborn);
    mine.steer(0, live_list());
    evaluate_request work;
    work.entries = {entry(1, tokens_from(60, 4)), entry(0, tokens_from(10, 6))};
    std::promise<std::exception_ptr> done;
    const operation_id id = mine.get().evaluate(
        work, [&](evaluate_result &&, std::exception_ptr failure) { done.set_value(std::move(failure)); });
    await();
    mine.get().cancel(id);
    CHECK_THROWS_CODE(
        [&] {
            if (std::exception_ptr failure = done.get_future().get()) {
                std::rethrow_exception(failure);
            }
        }(),
        error_code::ABORTED);
    CHECK_EQ(mine.get().position(0), 0);
    CHECK_EQ(mine.get().position(1), 0);

    // An answer that is cancelled meanwhile ends with the step under way.
    const operation_id answer = mine.get().generate(request(0, 10, 3, 50));
    await();
    mine.get().cancel(answer);
    release = true;
    CHECK_THROWS_CODE(mine.finish(answer), error_code::ABORTED);
    mine.truncate(0, 0);
    CHECK(std::isfinite(logits_after(mine, 0, 7).front()));

    // Shutting down waits for nobody.
    release = false;
    waiting = false;
    mine.steer(1, live_list());
    const operation_id last = mine.get().generate(request(1, 10, 3, 50));
    await();
    mine.get().stop();
    try {
        mine.finish(last);
        CHECK(false);
    } catch (const error & failure) {
        CHECK(failure.code() == error_code::ABORTED || failure.code() == error_code::DISPOSED);
    }
}
