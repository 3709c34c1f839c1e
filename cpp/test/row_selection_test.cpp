// Which rows a capture takes: every selection against the rows of "all", while evaluating and while generating.

#include "check.h"
#include "testbed.h"

#include <ggml.h>

#include <algorithm>
#include <cstring>

using namespace llama_steer;
using testbed::recording;

namespace {

context_options options(int32_t sequences, int32_t batch = 512) {
    context_options result;
    result.max_sequences = sequences;
    result.context_size = 256;
    result.batch_size = batch;
    result.threads = 1;
    return result;
}

token_selection at(std::vector<int32_t> positions) {
    token_selection selection(token_scope::positions);
    selection.positions = std::move(positions);
    return selection;
}

token_selection between(std::vector<int32_t> open, std::vector<int32_t> close, bool with_markers) {
    token_selection selection(token_scope::between);
    selection.open = std::move(open);
    selection.close = std::move(close);
    selection.with_markers = with_markers;
    return selection;
}

std::vector<int32_t> positions_of(const std::vector<row_label> & labels, int32_t sequence) {
    std::vector<int32_t> positions;
    for (const row_label & label : labels) {
        if (label.sequence == sequence) {
            positions.push_back(label.position);
        }
    }
    std::sort(positions.begin(), positions.end());
    return positions;
}

/// Every row of `some` is the row of `all` that has its label, at every layer; returns how many there are at the first.
size_t check_subset(const recording & some, const capture_labels & labels, const recording & all,
                    const capture_labels & all_labels) {
    const auto labels_at = [](const capture_labels & each, size_t slot) -> const std::vector<row_label> & {
        return each.is_cut[slot] ? each.cut : each.full;
    };
    for (size_t slot = 0; slot < some.layers.size(); ++slot) {
        const std::vector<row_label> & mine = labels_at(labels, slot);
        const std::vector<row_label> & whole = labels_at(all_labels, slot);
        for (size_t i = 0; i < mine.size(); ++i) {
            const auto found = std::find_if(whole.begin(), whole.end(), [&](const row_label & each) {
                return each.sequence == mine[i].sequence && each.position == mine[i].position &&
                       each.token == mine[i].token;
            });
            CHECK(found != whole.end());
            if (found != whole.end()) {
                CHECK(std::memcmp(some.row(slot, static_cast<int64_t>(i)), all.row(slot, found - whole.begin()),
                                  static_cast<size_t>(some.width) * sizeof(float)) == 0);
            }
        }
    }
    return labels.full.size();
}

struct expectation {
    token_selection rows;
    std::vector<int32_t> first;   ///< positions taken of sequence 0, a prompt of 10 tokens
    std::vector<int32_t> second;  ///< of sequence 1, a part of a prompt, 6 tokens
    std::vector<int32_t> third;   ///< of sequence 2, 3 tokens of an answer
};

void check_selections(int32_t batch) {
    const std::vector<std::vector<int32_t>> tokens = {
        {100, 7, 8, 101, 102, 9, 7, 8, 101, 103}, {7, 8, 100, 104, 9, 105}, {106, 7, 8}};
    const std::vector<expectation> cases = {
        {token_scope::prompt, {0, 1, 2, 3, 4, 5, 6, 7, 8, 9}, {0, 1, 2, 3, 4, 5}, {}},
        {token_scope::last_prompt, {9}, {}, {}},
        {token_scope::generated, {}, {}, {0, 1, 2}},
        {token_scope::last_prompt_and_generated, {9}, {}, {0, 1, 2}},
        {at({2, 4}), {2, 4}, {2, 4}, {2}},
        {at({-1, -3, 0}), {0, 7, 9}, {0}, {0}},
        {between({7, 8}, {9}, false), {3, 4, 8, 9}, {2, 3}, {}},
        {between({7, 8}, {9}, true), {2, 3, 4, 5, 7, 8, 9}, {1, 2, 3, 4}, {2}},
    };
    testbed::waiting_engine mine(options(3, batch));
    const recording all(token_scope::all, 64);
    mine.attach(all.target);
    std::vector<std::unique_ptr<recording>> recordings;
    for (const expectation & each : cases) {
        recordings.push_back(std::make_unique<recording>(each.rows, 20));
        mine.attach(recordings.back()->target);
    }
    std::vector<evaluate_entry> entries(3);
    for (int32_t i = 0; i < 3; ++i) {
        entries[static_cast<size_t>(i)].sequence = i;
        entries[static_cast<size_t>(i)].tokens = tokens[static_cast<size_t>(i)];
        entries[static_cast<size_t>(i)].logits =
            std::vector<logits_rows>{logits_rows::last, logits_rows::all, logits_rows::none}[static_cast<size_t>(i)];
    }
    entries[1].ends_prompt = false;
    entries[2].generated = true;
    for (int round = 0; round < 2; ++round) {  // the second time in reused graphs, from the same positions
        const evaluate_result result = mine.evaluate(entries);
        for (size_t i = 0; i < cases.size(); ++i) {
            const capture_labels & labels = result.captures[i + 1];
            CHECK(positions_of(labels.full, 0) == cases[i].first);
            CHECK(positions_of(labels.full, 1) == cases[i].second);
            CHECK(positions_of(labels.full, 2) == cases[i].third);
            check_subset(*recordings[i], labels, all, result.captures[0]);
        }
        for (int32_t sequence = 0; sequence < 3; ++sequence) {
            mine.truncate(sequence, 0);
        }
    }
}

}  // namespace

TEST(every_selection_takes_its_rows) { check_selections(512); }
TEST(every_selection_takes_its_rows_over_several_passes) { check_selections(4); }

/// Asked for by the caller, or needed by a capture of chosen rows at the last block.
TEST(outputs_are_the_rows_whose_logits_are_computed) {
    testbed::waiting_engine mine(options(2));
    const recording outputs(token_scope::outputs, 20);
    mine.attach(outputs.target);
    std::vector<evaluate_entry> entries(2);
    entries[0].tokens = {100, 7, 8, 101};
    entries[1].sequence = 1;
    entries[1].tokens = {102, 7, 8};
    entries[1].logits = logits_rows::none;
    capture_labels labels = mine.evaluate(entries).captures[0];
    CHECK((positions_of(labels.full, 0) == std::vector<int32_t>{3}));
    CHECK(positions_of(labels.full, 1).empty());
    const recording chosen(at({1}), 20);
    mine.attach(chosen.target);
    mine.truncate(0, 0);
    mine.truncate(1, 0);
    labels = mine.evaluate(entries).captures[0];
    CHECK((positions_of(labels.full, 0) == std::vector<int32_t>{1, 3}));
    CHECK((positions_of(labels.full, 1) == std::vector<int32_t>{1}));
}

TEST(markers_are_remembered_from_one_evaluation_to_the_next_and_forgotten_with_their_tokens) {
    testbed::waiting_engine mine(options(1));
    const recording inside(between({7, 8}, {9}, false), 20);
    mine.attach(inside.target);
    const auto take = [&](std::vector<int32_t> tokens) {
        evaluate_entry entry;
        entry.tokens = std::move(tokens);
        return positions_of(mine.evaluate({entry}).captures[0].full, 0);
    };
    CHECK(take({100, 7}).empty());
    CHECK((take({8, 101}) == std::vector<int32_t>{3}));
    CHECK((take({102}) == std::vector<int32_t>{4}));
    mine.truncate(0, 2);
    CHECK(take({101, 102}).empty());
    mine.truncate(0, 2);
    CHECK((take({8, 102}) == std::vector<int32_t>{3}));
    CHECK((take({103, 9, 104}) == std::vector<int32_t>{4}));
}

/// A tap that comes later still knows where its marker was.
TEST(markers_before_the_capture_count) {
    testbed::waiting_engine mine(options(1));
    evaluate_entry entry;
    entry.tokens = {100, 7, 8, 101};
    mine.evaluate({entry});
    const recording inside(between({7, 8}, {9}, false), 20);
    mine.attach(inside.target);
    entry.tokens = {102, 103};
    CHECK((positions_of(mine.evaluate({entry}).captures[0].full, 0) == std::vector<int32_t>{4, 5}));
}

TEST(positions_that_no_sequence_has_are_refused_before_anything_is_evaluated) {
    testbed::waiting_engine mine(options(1));
    const recording rows(at({40}), 4);
    mine.attach(rows.target);
    evaluate_entry entry;
    entry.tokens = {1, 2, 3};
    CHECK_THROWS_CODE(mine.evaluate({entry}), error_code::NO_ROW_SELECTED);
    CHECK_EQ(mine.get().position(0), 0);
}

/// Half precision is the float32 row rounded to the nearest half, at every selection.
TEST(half_precision_rows_are_the_rounded_float_rows) {
    testbed::waiting_engine mine(options(1));
    for (const token_selection & rows : {token_selection(token_scope::all), at({1, -1})}) {
        const recording floats(rows, 64);
        std::vector<uint16_t> memory(floats.memory.size());
        tap_request request;
        request.site = "residual";
        request.layers = floats.layers;
        request.rows = rows;
        request.destination = {memory.data(), 64, floats.width, element_type::f16};
        const auto halves = std::make_shared<tap>(std::move(request));
        mine.attach(floats.target);
        mine.attach(halves);
        evaluate_entry entry;
        entry.tokens = testbed::prompt(1);
        const evaluate_result result = mine.evaluate({entry});
        for (size_t slot = 0; slot < floats.layers.size(); ++slot) {
            const std::vector<row_label> & labels = floats.target->labels(slot);
            CHECK(!labels.empty());
            CHECK_EQ(halves->labels(slot).size(), labels.size());
            for (size_t row = 0; row < labels.size(); ++row) {
                const float * wide = floats.row(slot, static_cast<int64_t>(row));
                const auto * narrow = reinterpret_cast<const uint16_t *>(halves->row(slot, static_cast<int64_t>(row)));
                for (int64_t i = 0; i < floats.width; ++i) {
                    CHECK_EQ(narrow[i], ggml_fp32_to_fp16(wide[i]));
                }
            }
        }
        mine.detach(floats.target);
        mine.detach(halves);
        mine.truncate(0, 0);
    }
}

/// The rows of an answer equal those of evaluating the same tokens, and the answer is the one without a capture.
TEST(a_generation_is_captured_while_it_runs) {
    testbed::waiting_engine mine(options(3));
    const std::vector<int32_t> prompt = testbed::prompt(0);
    const auto n_prompt = static_cast<int32_t>(prompt.size());
    generate_request plain;
    plain.sequence = 2;
    plain.prompt = prompt;
    plain.max_tokens = 12;
    const std::vector<int32_t> answer = mine.finish(mine.get().generate(plain));

    for (const token_scope scope : {token_scope::generated, token_scope::last_prompt_and_generated, token_scope::all}) {
        const recording held(scope, 64);
        tap_request request = held.target->request();
        request.occasion = tap_occasion::generation;
        request.sequence = 0;
        generate_request captured = plain;
        captured.sequence = 0;
        captured.capture = std::make_shared<tap>(request);
        generate_request beside = plain;
        beside.sequence = 1;
        beside.prompt = testbed::prompt(3);
        const operation_id other = mine.get().generate(beside);
        const operation_id id = mine.get().generate(captured);
        CHECK(mine.finish(id) == answer);
        const capture_labels labels = mine.captured(id);
        mine.finish(other);
        const int32_t position = mine.get().position(0);
        std::vector<int32_t> expected;
        for (int32_t i = 0; i < position; ++i) {
            const bool wanted = scope == token_scope::all || i >= n_prompt ||
                                (scope == token_scope::last_prompt_and_generated && i == n_prompt - 1);
            if (wanted) {
                expected.push_back(i);
            }
        }
        CHECK(positions_of(labels.full, 0) == expected);
        CHECK(positions_of(labels.full, 1).empty());

        const recording all(token_scope::all, 64);
        testbed::waiting_engine alone(options(1));
        alone.attach(all.target);
        evaluate_entry entry;
        entry.tokens = prompt;
        entry.tokens.insert(entry.tokens.end(), answer.begin(), answer.end());
        entry.tokens.resize(static_cast<size_t>(position));
        entry.logits = logits_rows::all;
        alone.evaluate({entry});
        for (size_t slot = 0; slot < held.layers.size(); ++slot) {
            const std::vector<row_label> & rows = labels.is_cut[slot] ? labels.cut : labels.full;
            for (size_t row = 0; row < rows.size(); ++row) {
                const float * a = held.row(slot, static_cast<int64_t>(row));
                const float * b = all.row(slot, rows[row].position);
                for (int64_t i = 0; i < held.width; ++i) {
                    CHECK_NEAR(a[i], b[i], 3e-2);
                }
            }
        }
        mine.truncate(0, 0);
        mine.truncate(1, 0);
    }
}

TEST(a_generation_whose_capture_is_too_small_is_refused_at_once) {
    testbed::waiting_engine mine(options(1));
    const recording held(token_scope::generated, 4);
    tap_request request = held.target->request();
    request.occasion = tap_occasion::generation;
    request.sequence = 0;
    generate_request generate;
    generate.prompt = testbed::prompt(0);
    generate.max_tokens = 6;
    generate.capture = std::make_shared<tap>(request);
    CHECK_THROWS_CODE(mine.finish(mine.get().generate(generate)), error_code::BUFFER_TOO_SMALL);
    CHECK_EQ(mine.get().position(0), 0);
    generate.max_tokens = 5;
    mine.finish(mine.get().generate(generate));
}

/// Positions need room for those alone that the prompt and the answer can come to.
TEST(a_generation_captured_at_positions_needs_room_for_these_only) {
    testbed::waiting_engine mine(options(1));
    const std::vector<int32_t> prompt = testbed::prompt(0);
    const auto n_prompt = static_cast<int32_t>(prompt.size());
    generate_request generate;
    generate.prompt = prompt;
    generate.max_tokens = 4;
    const auto run = [&](std::vector<int32_t> positions, int64_t capacity) {
        const recording held(at(std::move(positions)), capacity);
        tap_request request = held.target->request();
        request.occasion = tap_occasion::generation;
        request.sequence = 0;
        generate.capture = std::make_shared<tap>(request);
        const operation_id id = mine.get().generate(generate);
        mine.finish(id);
        const std::vector<int32_t> found = positions_of(mine.captured(id).full, 0);
        mine.truncate(0, 0);
        return found;
    };
    CHECK((run({-1}, 1) == std::vector<int32_t>{n_prompt - 1}));
    CHECK((run({0, n_prompt + 2, n_prompt + 3}, 2) == std::vector<int32_t>{0, n_prompt + 2}));
    CHECK_THROWS_CODE(run({0, n_prompt, n_prompt + 2}, 2), error_code::BUFFER_TOO_SMALL);
}
