#pragma once

#include "base/batch_layout.h"
#include "steering/condition.h"

#include <cstdint>
#include <deque>
#include <map>
#include <vector>

namespace llama_steer {

/// What probes measured on the prompts of one context, sequence by sequence, from pass to pass: what latched conditions
/// are decided from. Decoding thread only; the kernels write to the places it gives out while a pass runs.
class condition_memory {
public:
    explicit condition_memory(int32_t max_sequences) : sequences_(static_cast<size_t>(max_sequences)) {}

    /// One prompt as a probe saw it.
    struct prompt_record {
        int32_t begin = 0;          ///< position of the first value
        bool complete = false;      ///< the prompt has ended with the last value
        std::vector<float> values;  ///< by position from begin; NaN where nothing was measured (yet)
        int8_t before = -1;         ///< what the prompt before decided, for the end of the answer to that: 0 or 1
        int32_t before_end = 0;     ///< position after that prompt
        uint64_t pass = 0;          ///< the pass that it was made ready for
        int8_t decided = -1;        ///< by a complete prompt, once it was asked for in a later pass: 0 or 1
    };

    /// The record of the prompt that the span of `sequence` in the layout's batch is of or follows; null where there is
    /// none. Makes room for the span's prompt tokens first, so that places stay where they are during the pass.
    prompt_record * record(const condition_probe & probe, const batch_layout & layout, int32_t sequence);

    /// Whether a complete prompt fulfils `probe`.
    static bool decide(const condition_probe & probe, const prompt_record & record);

    /// Whether everything that `probe` measured on the first `count` tokens of `sequence` is still known.
    bool knows(const condition_probe & probe, int32_t sequence, int32_t count) const;

    /// Forgets what was measured on tokens of `sequence` from `position` on; where that was a whole prompt, the answer
    /// before it goes on as decided.
    void cut(int32_t sequence, int32_t position);
    /// Gives `to` what is known of the tokens of `from` before `position`.
    void copy(int32_t from, int32_t to, int32_t position);

private:
    static bool outcome(const condition_probe & probe, const prompt_record & known) {
        return known.decided >= 0 ? known.decided == 1 : decide(probe, known);
    }
    static void make_ready(prompt_record & known, const condition_probe & probe, const sequence_span & span,
                           uint64_t pass);

    std::vector<std::map<uint64_t, prompt_record>> sequences_;  ///< by the probe's contents
};

}  // namespace llama_steer
