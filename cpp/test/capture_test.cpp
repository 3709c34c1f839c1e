// Capture against an independent copy made under cb_eval: bit for bit.

#include "check.h"
#include "reference.h"
#include "testbed.h"

#include <algorithm>
#include <cstring>

using namespace llama_steer;
using testbed::all_layers;
using testbed::recording;

namespace {

context_options options(int32_t sequences, int32_t batch = 512, bool unified = true, int32_t threads = 1) {
    context_options result;
    result.max_sequences = sequences;
    result.context_size = 256;
    result.batch_size = batch;
    result.threads = threads;
    result.unified_memory = unified;
    result.own_operators = false;  // as the references have it
    return result;
}

/// Rows and labels of a layer equal the reference's rows and the tokens that were fed, in order.
void check_layer(const recording & mine, const evaluate_result & result, size_t slot,
                 const std::vector<float> & expected, const std::vector<row_label> & labels) {
    const capture_labels & captured = result.captures.front();
    const std::vector<row_label> & rows = captured.is_cut[slot] ? captured.cut : captured.full;
    CHECK_EQ(rows.size(), labels.size());
    CHECK_EQ(expected.size(), labels.size() * static_cast<size_t>(mine.width));
    if (rows.size() != labels.size() || expected.size() != labels.size() * static_cast<size_t>(mine.width)) {
        return;
    }
    for (size_t i = 0; i < rows.size(); ++i) {
        CHECK_EQ(rows[i].sequence, labels[i].sequence);
        CHECK_EQ(rows[i].position, labels[i].position);
        CHECK_EQ(rows[i].token, labels[i].token);
    }
    CHECK(std::memcmp(mine.row(slot, 0), expected.data(), expected.size() * sizeof(float)) == 0);
}

/// Feeds the prompts of `sequences` sequences to both and compares all layers; then three steps of one token each.
void compare_all_rows(int32_t sequences, int32_t batch, bool all_outputs, int32_t threads = 1) {
    testbed::waiting_engine mine(options(sequences, batch, true, threads));
    reference::plain_context theirs(sequences, batch, true, "l_out", threads);
    const recording rows(token_scope::all, 512);
    mine.attach(rows.target);

    std::vector<int32_t> positions(static_cast<size_t>(sequences), 0);
    for (int step = 0; step < 4; ++step) {
        std::vector<evaluate_entry> entries;
        std::vector<reference::token> tokens;
        for (int32_t sequence = 0; sequence < sequences; ++sequence) {
            evaluate_entry entry;
            entry.sequence = sequence;
            entry.tokens = step == 0 ? testbed::prompt(sequence) : std::vector<int32_t>{10 + step + sequence};
            entry.generated = step > 0;
            entry.logits = all_outputs ? logits_rows::all : logits_rows::last;
            int32_t & position = positions[static_cast<size_t>(sequence)];
            for (size_t i = 0; i < entry.tokens.size(); ++i) {
                const bool output = all_outputs || i + 1 == entry.tokens.size();
                tokens.push_back({entry.tokens[i], position++, sequence, output});
            }
            entries.push_back(std::move(entry));
        }
        const evaluate_result result = mine.evaluate(entries);

        // The reference gets the same passes: the engine fills them to batch_size in order.
        std::map<int, std::vector<float>> expected;
        for (size_t begin = 0; begin < tokens.size(); begin += static_cast<size_t>(batch)) {
            const size_t end = std::min(tokens.size(), begin + static_cast<size_t>(batch));
            theirs.decode({tokens.begin() + static_cast<long>(begin), tokens.begin() + static_cast<long>(end)});
            for (const int layer : all_layers()) {
                const std::vector<float> & part = theirs.rows(layer);
                expected[layer].insert(expected[layer].end(), part.begin(), part.end());
            }
        }

        std::vector<row_label> full;
        std::vector<row_label> cut;
        for (const reference::token & token : tokens) {
            full.push_back({token.sequence, token.position, token.id});
            if (token.output) {
                cut.push_back(full.back());
            }
        }
        const int last = all_layers().back();
        for (const int layer : all_layers()) {
            check_layer(rows, result, static_cast<size_t>(layer), expected[layer], layer == last ? cut : full);
        }
        CHECK(!result.captures.front().is_cut[0]);
    }
}

}  // namespace

/// A memory per sequence makes upstream split the batch into micro-batches of equal lengths and reorder its tokens.
TEST(capture_in_several_reordered_micro_batches_is_bit_identical_and_labelled_right) {
    constexpr int32_t sequences = 4;
    testbed::waiting_engine mine(options(sequences, 512, false));
    reference::plain_context theirs(sequences, 512, false);
    const recording rows(token_scope::all, 512);
    mine.attach(rows.target);
    std::vector<evaluate_entry> entries;
    std::vector<reference::token> tokens;
    for (int32_t sequence = 0; sequence < sequences; ++sequence) {
        evaluate_entry entry;
        entry.sequence = sequence;
        entry.tokens = testbed::prompt(sequence);
        for (size_t i = 0; i < entry.tokens.size(); ++i) {
            tokens.push_back({entry.tokens[i], static_cast<int32_t>(i), sequence, i + 1 == entry.tokens.size()});
        }
        entries.push_back(std::move(entry));
    }
    const evaluate_result result = mine.evaluate(entries);
    theirs.decode(tokens);

    const std::vector<row_label> & labels = result.captures.front().full;
    CHECK_EQ(labels.size(), tokens.size());
    bool reordered = false;
    for (size_t i = 0; i < labels.size(); ++i) {
        reordered = reordered || labels[i].sequence != tokens[i].sequence || labels[i].position != tokens[i].position;
    }
    CHECK(reordered);

    for (const int layer : all_layers()) {
        const std::vector<float> & expected = theirs.rows(layer);
        CHECK(std::memcmp(rows.row(static_cast<size_t>(layer), 0), expected.data(), expected.size() * sizeof(float)) ==
              0);
    }

    // Whether the labels are right shows against each sequence alone, where the order is known.
    for (int32_t sequence = 0; sequence < sequences; ++sequence) {
        reference::plain_context alone(1, 512);
        std::vector<reference::token> own;
        for (reference::token token : tokens) {
            if (token.sequence == sequence) {
                token.sequence = 0;
                own.push_back(token);
            }
        }
        alone.decode(own);
        for (const int layer : all_layers()) {
            const capture_labels & captured = result.captures.front();
            const bool cut = captured.is_cut[static_cast<size_t>(layer)];
            const std::vector<row_label> & held = cut ? captured.cut : captured.full;
            for (size_t row = 0; row < held.size(); ++row) {
                if (held[row].sequence != sequence) {
                    continue;
                }
                CHECK_EQ(held[row].token, own[static_cast<size_t>(held[row].position)].id);
                const float * mine_row = rows.row(static_cast<size_t>(layer), static_cast<int64_t>(row));
                const size_t at = cut ? 0 : static_cast<size_t>(held[row].position);
                const float * their_row = alone.rows(layer).data() + at * static_cast<size_t>(rows.width);
                float worst = 0;
                for (int64_t i = 0; i < rows.width; ++i) {
                    worst = std::max(worst, std::fabs(mine_row[i] - their_row[i]));
                }
                CHECK_NEAR(worst, 0, 2e-2);
            }
        }
    }
}

TEST(capture_of_last_rows_gathers_the_rows_that_all_has) {
    constexpr int32_t sequences = 5;
    testbed::waiting_engine mine(options(sequences));
    const recording all(token_scope::all, 512);
    const recording last(token_scope::last_prompt, sequences);
    mine.attach(all.target);
    mine.attach(last.target);
    std::vector<evaluate_entry> entries;
    for (int32_t sequence = 0; sequence < sequences; ++sequence) {
        evaluate_entry entry;
        entry.sequence = sequence;
        entry.tokens = testbed::prompt(sequence);
        entry.ends_prompt = sequence != 3;
        entry.logits = logits_rows::none;
        entries.push_back(std::move(entry));
    }
    const evaluate_result result = mine.evaluate(entries);
    const capture_labels & full = result.captures[0];
    const capture_labels & ends = result.captures[1];
    CHECK_EQ(ends.full.size(), 4U);
    for (const row_label & label : ends.full) {
        CHECK(label.sequence != 3);
        CHECK_EQ(label.position, static_cast<int32_t>(testbed::prompt(label.sequence).size()) - 1);
    }
    for (const int layer : all_layers()) {
        const auto slot = static_cast<size_t>(layer);
        const std::vector<row_label> & rows = full.is_cut[slot] ? full.cut : full.full;
        const std::vector<row_label> & wanted = ends.is_cut[slot] ? ends.cut : ends.full;
        CHECK_EQ(wanted.size(), 4U);
        for (size_t i = 0; i < wanted.size(); ++i) {
            const auto found = std::find_if(rows.begin(), rows.end(), [&](const row_label & each) {
                return each.sequence == wanted[i].sequence && each.position == wanted[i].position;
            });
            CHECK(found != rows.end());
            if (found != rows.end()) {
                CHECK(std::memcmp(last.row(slot, static_cast<int64_t>(i)), all.row(slot, found - rows.begin()),
                                  static_cast<size_t>(all.width) * sizeof(float)) == 0);
            }
        }
    }
}

TEST(capture_of_raw_nodes_is_bit_identical) {
    for (const char * node : {"ffn_inp", "ffn_out", "attn_norm", "kqv_out"}) {
        testbed::waiting_engine mine(options(1));
        reference::plain_context theirs(1, 512, true, node);
        const recording rows(token_scope::all, 64, node);
        mine.attach(rows.target);
        evaluate_entry entry;
        entry.tokens = testbed::prompt(1);
        std::vector<reference::token> tokens;
        for (size_t i = 0; i < entry.tokens.size(); ++i) {
            tokens.push_back({entry.tokens[i], static_cast<int32_t>(i), 0, i + 1 == entry.tokens.size()});
        }
        mine.evaluate({entry});
        theirs.decode(tokens);
        for (const int layer : all_layers()) {
            const std::vector<float> & expected = theirs.rows(layer);
            CHECK(!expected.empty());
            CHECK(std::memcmp(rows.row(static_cast<size_t>(layer), 0), expected.data(),
                              expected.size() * sizeof(float)) == 0);
        }
    }
}

TEST(a_capture_too_small_for_an_evaluation_is_refused_and_nothing_is_kept) {
    testbed::waiting_engine mine(options(1));
    const recording rows(token_scope::all, 4);
    mine.attach(rows.target);
    evaluate_entry entry;
    entry.tokens = testbed::prompt(1);
    CHECK_THROWS_CODE(mine.evaluate({entry}), error_code::BUFFER_TOO_SMALL);
    CHECK_EQ(mine.get().position(0), 0);
    mine.detach(rows.target);
    mine.evaluate({entry});
    CHECK_EQ(mine.get().position(0), static_cast<int32_t>(testbed::prompt(1).size()));
}

TEST(capture_all_rows_of_one_sequence_is_bit_identical) { compare_all_rows(1, 512, false); }
TEST(capture_all_rows_with_all_outputs_is_bit_identical) { compare_all_rows(2, 512, true); }
TEST(capture_of_several_sequences_is_bit_identical) { compare_all_rows(8, 512, false); }
TEST(capture_over_several_passes_is_bit_identical) { compare_all_rows(4, 32, false); }
/// The last pass has output rows only, so that nothing shows there that the last block computes no others.
TEST(capture_over_passes_with_and_without_other_rows_is_labelled_right) {
    testbed::waiting_engine mine(options(1, 16));
    reference::plain_context theirs(1, 16);
    const recording all(token_scope::all, 64);
    const recording last(token_scope::last_prompt, 4);
    mine.attach(all.target);
    mine.attach(last.target);
    evaluate_entry entry;
    entry.tokens = testbed::prompt(1);
    const std::vector<int32_t> more = testbed::prompt(0);
    entry.tokens.insert(entry.tokens.end(), more.begin(), more.end());
    entry.tokens.resize(33);
    for (int round = 0; round < 2; ++round) {  // the second time in reused graphs
        const evaluate_result result = mine.evaluate({entry});
        std::map<int, std::vector<float>> expected;
        std::vector<row_label> full;
        for (int32_t begin = 0; begin < 33; begin += 16) {
            std::vector<reference::token> tokens;
            for (int32_t i = begin; i < std::min(begin + 16, 33); ++i) {
                tokens.push_back({entry.tokens[static_cast<size_t>(i)], i + 33 * round, 0, i == 32});
                full.push_back({0, i + 33 * round, entry.tokens[static_cast<size_t>(i)]});
            }
            theirs.decode(tokens);
            for (const int layer : all_layers()) {
                expected[layer].insert(expected[layer].end(), theirs.rows(layer).begin(), theirs.rows(layer).end());
            }
        }
        const std::vector<row_label> cut{full.back()};
        for (const int layer : all_layers()) {
            const bool is_last = layer == all_layers().back();
            check_layer(all, result, static_cast<size_t>(layer), expected[layer], is_last ? cut : full);
            const float * row = last.row(static_cast<size_t>(layer), 0);
            const float * same = all.row(static_cast<size_t>(layer), is_last ? 0 : 32);
            CHECK(std::memcmp(row, same, static_cast<size_t>(all.width) * sizeof(float)) == 0);
        }
        CHECK_EQ(result.captures[1].full.size(), 1U);
        CHECK_EQ(result.captures[1].cut.size(), 1U);
    }
}

TEST(capture_with_two_threads_is_bit_identical) { compare_all_rows(3, 512, false, 2); }
