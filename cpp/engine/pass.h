#pragma once

#include "model/context.h"

#include <vector>

namespace llama_steer {

/// One forward pass under construction: tokens of several sequences and what they are.
class pass {
public:
    explicit pass(context & target) : target_(target) { target_.graph().layout().clear(); }

    int32_t room() const { return target_.options().batch_size - static_cast<int32_t>(tokens_.size()); }
    bool empty() const { return tokens_.empty(); }

    /// Adds the tokens of a sequence (once per sequence and pass). Returns the index of the first in the batch.
    int32_t add(int32_t sequence, const sequence_span & span, const int32_t * tokens) {
        const auto first = static_cast<int32_t>(tokens_.size());
        for (int32_t i = 0; i < span.n_tokens; ++i) {
            tokens_.push_back({tokens[i], span.first_position + i, sequence, false});
        }
        target_.graph().layout().set(sequence, span, tokens);
        return first;
    }

    /// Makes outputs of the tokens of `sequence`, whose first has index `first`, that `target` takes: a capture of
    /// chosen rows holds them at the last block as well, which computes output rows only.
    void want_captured(const tap & target, int32_t sequence, int32_t first) {
        const batch_layout & layout = target_.graph().layout();
        const sequence_span & span = layout.span(sequence);
        for (int32_t i = 0; i < span.n_tokens; ++i) {
            if (target.selects(layout, sequence, span.first_position + i, false)) {
                want_logits(first + i);
            }
        }
    }

    void want_logits(int32_t index) { tokens_[static_cast<size_t>(index)].output = true; }

    decode_status run() { return target_.decode(tokens_); }

private:
    context & target_;
    std::vector<batch_token> tokens_;
};

}  // namespace llama_steer
