#pragma once

#include "base/batch_layout.h"
#include "bench/workload.h"

#include <cstdint>
#include <vector>

namespace llama_steer::bench {

/// Says in `layout` what `batch` holds, as an engine does before every pass: one span for each sequence. `ids`: memory
/// that is kept from step to step.
inline void describe(const step_batch & batch, batch_layout & layout, std::vector<int32_t> & ids) {
    layout.clear();
    const std::vector<batch_token> & tokens = batch.tokens;
    for (size_t begin = 0, end = 0; begin < tokens.size(); begin = end) {
        ids.clear();
        for (; end < tokens.size() && tokens[end].sequence == tokens[begin].sequence; ++end) {
            ids.push_back(tokens[end].token);
        }
        sequence_span span;
        span.first_position = tokens[begin].position;
        span.n_tokens = static_cast<int32_t>(end - begin);
        span.generated = batch.generated;
        span.prompt_end = batch.generated ? -1 : span.last_position() + 1;
        layout.set(tokens[begin].sequence, span, ids.data());
    }
}

}  // namespace llama_steer::bench
