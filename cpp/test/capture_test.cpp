// Capture against an independent copy made under cb_eval: bit for bit.

#include "check.h"
#include "reference.h"
#include "testbed.h"

#include <algorithm>
#include <cstring>

using namespace llama_steer;

namespace {

std::vector<int> all_layers() {
    std::vector<int> layers;
    for (int layer = 0; layer < testbed::chat_model()->info().n_layers; ++layer) {
        layers.push_back(layer);
    }
    return layers;
}

/// Memory for a capture, as a caller would own it, and the tap on it.
struct recording {
    recording(row_selection selection, int64_t capacity, const std::string & node = "l_out")
        : width(testbed::chat_model()->info().hidden_size),
          memory(all_layers().size() * static_cast<size_t>(capacity * width), NAN),
          target(std::make_shared<tap>(node, all_layers(), selection,
                                       capture_destination{memory.data(), capacity, width})) {}

    int64_t width;
    std::vector<float> memory;
    std::shared_ptr<tap> target;
};

context_options options(int32_t sequences, int32_t batch = 512, bool unified = true) {
    context_options result;
    result.max_sequences = sequences;
    result.context_size = 256;
    result.batch_size = batch;
    result.threads = 2;
    result.unified_memory = unified;
    return result;
}

/// Rows and labels of a layer equal the reference's rows and the tokens that were fed, in order.
void check_layer(const recording & mine, const evaluate_result & result, size_t slot, const std::vector<float> & expected,
                 const std::vector<row_label> & labels) {
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
    CHECK(std::memcmp(mine.target->row(slot, 0), expected.data(), expected.size() * sizeof(float)) == 0);
}

/// Feeds the prompts of `sequences` sequences to both and compares all layers; then three steps of one token each.
void compare_all_rows(int32_t sequences, int32_t batch, bool unified, bool all_outputs) {
    testbed::waiting_engine mine(options(sequences, batch, unified));
    reference::plain_context theirs(sequences, batch, unified);
    const recording rows(row_selection::all, 512);
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

TEST(capture_all_rows_of_one_sequence_is_bit_identical) { compare_all_rows(1, 512, true, false); }
TEST(capture_all_rows_with_all_outputs_is_bit_identical) { compare_all_rows(2, 512, true, true); }
TEST(capture_of_several_sequences_is_bit_identical) { compare_all_rows(8, 512, true, false); }
TEST(capture_over_several_passes_is_bit_identical) { compare_all_rows(4, 32, true, false); }
