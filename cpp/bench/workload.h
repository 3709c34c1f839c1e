#pragma once

#include "model/context.h"

#include <algorithm>
#include <cstdint>
#include <string>
#include <vector>

namespace llama_steer::bench {

/// What one timed step computes, and how full the context is meanwhile.
struct workload {
    std::string name;
    int32_t sequences;
    int32_t tokens;  ///< appended to each sequence by a step
    int32_t start;   ///< tokens that each sequence holds before the first step
    int32_t end;     ///< tokens that it can hold: full, it is cut back to `start`

    int32_t tokens_per_step() const { return sequences * tokens; }
    /// Steps of one token continue an answer; longer ones are prompts.
    bool generates() const { return tokens == 1; }
};

/// A context that a workload just fits in.
inline context_options context_options_of(const workload & work, int32_t threads) {
    context_options options;
    options.max_sequences = work.sequences;
    options.context_size = work.end;
    options.batch_size = std::max(work.tokens_per_step(), work.sequences * work.start);
    options.threads = threads;
    options.own_operators = false;  // all sides have the same: what is added to it is measured
    return options;
}

/// Prefill of a cleared sequence, and decode with 32 to 256 tokens in memory: attention looks at multiples of 256
/// tokens, so that no step needs another graph than the step before.
inline std::vector<workload> capture_workloads() {
    return {{"prefill 512", 1, 512, 0, 512},
            {"decode 1", 1, 1, 32, 256},
            {"decode 8", 8, 1, 4, 32},
            {"decode 32", 32, 1, 1, 8}};
}

/// The tokens of one forward pass, sequence by sequence, each sequence's in order.
struct step_batch {
    std::vector<batch_token> tokens;
    bool generated = false;  ///< part of answers rather than prompts
};

/// `count` tokens for each sequence from `position` on, the same on every call. Logits are asked for of the last token
/// of each sequence.
inline step_batch make_batch(const workload & work, int32_t position, int32_t count, bool generated,
                             int32_t vocabulary_size) {
    step_batch batch;
    batch.generated = generated;
    for (int32_t sequence = 0; sequence < work.sequences; ++sequence) {
        for (int32_t i = 0; i < count; ++i) {
            const int64_t number = 7919 * (static_cast<int64_t>(position) + i) + 104729 * sequence;
            batch.tokens.push_back(
                {static_cast<int32_t>(number % vocabulary_size), position + i, sequence, i + 1 == count});
        }
    }
    return batch;
}

}  // namespace llama_steer::bench
