// What the tests of all architectures feed: a few sequences of different lengths in steps, in which no token id occurs
// twice, so that an id tells sequence and position; and a capture.
#pragma once

#include "reference.h"
#include "testbed.h"

#include <algorithm>
#include <cmath>
#include <map>
#include <memory>
#include <numeric>
#include <string>
#include <vector>

namespace llama_steer::scenarios {

struct scenario {
    int32_t sequences = 1;
    int32_t batch = 512;
    bool unified = true;
    logits_rows logits = logits_rows::last;
    int32_t threads = 1;
    std::string site = "residual";
    std::string node = "l_out";    ///< what upstream calls it, for the reference
    int64_t width = 0;             ///< floats in a row of that site; 0: the hidden size
    std::vector<int> layers = {};  ///< none: all
};

inline std::string text_of(const std::string & architecture, const scenario & each) {
    static const char * const logits[] = {"no", "last", "all"};
    return architecture + ", " + std::to_string(each.sequences) + " sequences, batch " + std::to_string(each.batch) +
           (each.unified ? ", one memory, " : ", separate memories, ") + logits[static_cast<size_t>(each.logits)] +
           " logits, threads " + std::to_string(each.threads) + ", " + each.site;
}

/// A capture and the memory it is written to.
class recording {
public:
    explicit recording(const model & source, token_selector rows = token_scope::all, const scenario & each = {})
        : width_(each.width == 0 ? source.info().hidden_size : each.width),
          layers_(each.layers.empty() ? testbed::all_layers(source) : each.layers),
          memory_(layers_.size() * static_cast<size_t>(capacity * width_), NAN),
          target_(testbed::make_tap(each.site, layers_, std::move(rows), memory_.data(), capacity, width_)) {}

    const std::shared_ptr<tap> & target() const { return target_; }
    size_t width() const { return static_cast<size_t>(width_); }
    const float * row(int layer, size_t row) const {
        return reinterpret_cast<const float *>(target_->row(slot(*target_, layer), static_cast<int64_t>(row)));
    }

    /// What the rows of a layer are, as the `index`-th capture of an evaluation says.
    static const std::vector<row_label> & labels(const evaluate_result & result, int layer, size_t index = 0) {
        const capture_labels & captured = result.captures[index];
        return captured.is_cut[slot(*captured.target, layer)] ? captured.cut : captured.full;
    }

private:
    static size_t slot(const tap & target, int layer) {
        const std::vector<int> & layers = target.layers();
        return static_cast<size_t>(std::find(layers.begin(), layers.end(), layer) - layers.begin());
    }

    static constexpr int64_t capacity = 256;
    int64_t width_;
    std::vector<int> layers_;
    std::vector<float> memory_;
    std::shared_ptr<tap> target_;
};

/// Hands out tokens that nobody has been given, and remembers whose they are.
class token_source {
public:
    std::vector<int32_t> take(int32_t sequence, int32_t count) {
        std::vector<int32_t> tokens;
        for (int32_t i = 0; i < count; ++i) {
            const int32_t id = next_ < 256 ? next_ : next_ + 3;  // not the control tokens
            owners_[id] = {sequence, positions_[sequence]++, id};
            tokens.push_back(id);
            ++next_;
        }
        return tokens;
    }
    const row_label & owner(int32_t id) const { return owners_.at(id); }

private:
    int32_t next_ = 0;
    std::map<int32_t, row_label> owners_;
    std::map<int32_t, int32_t> positions_;
};

constexpr int n_steps = 4;

/// Tokens that a sequence gets in a step: a prompt, more of it for every other sequence, then one by one.
inline int32_t tokens_in_step(int step, int32_t sequence) {
    static constexpr int32_t prompts[] = {9, 2, 31, 17, 40};
    if (step == 0) {
        return prompts[sequence];
    }
    return step > 1 ? 1 : sequence % 2 == 0 ? 3 + sequence : 0;
}

inline std::vector<evaluate_entry> entries_of_step(int step, const scenario & each, token_source & tokens) {
    std::vector<evaluate_entry> entries;
    for (int32_t sequence = 0; sequence < each.sequences; ++sequence) {
        evaluate_entry entry;
        entry.sequence = sequence;
        entry.tokens = tokens.take(sequence, tokens_in_step(step, sequence));
        entry.generated = step > 1;
        entry.ends_prompt = step == 1 || (step == 0 && sequence % 2 == 1);
        entry.logits = each.logits;
        if (!entry.tokens.empty()) {
            entries.push_back(std::move(entry));
        }
    }
    return entries;
}

/// The tokens of a step in the order in which the engine puts them into passes.
inline std::vector<reference::token> in_order(const std::vector<evaluate_entry> & entries,
                                              const token_source & tokens) {
    std::vector<reference::token> all;
    for (const evaluate_entry & entry : entries) {
        for (const int32_t id : entry.tokens) {
            const bool wanted =
                entry.logits == logits_rows::all || (entry.logits == logits_rows::last && id == entry.tokens.back());
            all.push_back({id, tokens.owner(id).position, entry.sequence, wanted});
        }
    }
    return all;
}

/// Rows one after another, and the token id of each.
struct layer_rows {
    std::vector<float> rows;
    std::vector<int32_t> tokens;
};

/// What the reference computes in the same passes as the engine, by layer.
inline std::map<int, layer_rows> expected_rows(reference::plain_context & theirs,
                                               const std::vector<reference::token> & tokens, int32_t batch,
                                               const std::vector<int> & layers) {
    std::map<int, layer_rows> expected;
    for (size_t begin = 0; begin < tokens.size(); begin += static_cast<size_t>(batch)) {
        const size_t end = std::min(tokens.size(), begin + static_cast<size_t>(batch));
        theirs.decode({tokens.begin() + static_cast<long>(begin), tokens.begin() + static_cast<long>(end)});
        for (const int layer : layers) {
            layer_rows & each = expected[layer];
            each.rows.insert(each.rows.end(), theirs.rows(layer).begin(), theirs.rows(layer).end());
            each.tokens.insert(each.tokens.end(), theirs.row_tokens(layer).begin(), theirs.row_tokens(layer).end());
        }
    }
    return expected;
}

inline context_options options_of(const scenario & each) {
    context_options options;
    options.max_sequences = each.sequences;
    options.context_size = 256;
    options.batch_size = each.batch;
    options.threads = each.threads;
    options.unified_memory = each.unified;
    options.own_operators = false;  // as the references have it
    return options;
}

inline bool same_label(const row_label & a, const row_label & b) {
    return a.sequence == b.sequence && a.position == b.position && a.token == b.token;
}

}  // namespace llama_steer::scenarios
