#pragma once

#include <cstdint>
#include <vector>

namespace llama_steer {

/// What part a token plays in its sequence.
enum class token_phase : uint8_t {
    prompt,       ///< a prompt token that another prompt token follows
    last_prompt,  ///< the token after which the answer begins
    generated,    ///< a token of the answer
};

/// The consecutive tokens that one sequence has in a batch.
struct sequence_span {
    int32_t first_position = 0;
    int32_t n_tokens = 0;    ///< 0: the sequence is not in the batch
    int32_t n_carried = 0;   ///< of them the first, that end the answer before: generated whatever follows
    bool generated = false;  ///< tokens of an answer rather than of a prompt
    bool ends_prompt =
        false;  ///< the span's last token is the prompt's last (false for the earlier chunks of a prompt)

    int32_t last_position() const { return first_position + n_tokens - 1; }
};

/// What the caller knows of the batch in flight, by sequence. llama.cpp may split and reorder the batch; taps and
/// interventions look their rows up here by (sequence, position).
class batch_layout {
public:
    explicit batch_layout(int32_t max_sequences) : spans_(max_sequences) {}

    void clear() { spans_.assign(spans_.size(), sequence_span{}); }

    void set(int32_t sequence, const sequence_span & span) { spans_[sequence] = span; }

    const sequence_span & span(int32_t sequence) const { return spans_[sequence]; }

    int32_t max_sequences() const { return static_cast<int32_t>(spans_.size()); }

    token_phase phase(int32_t sequence, int32_t position) const {
        const sequence_span & span = spans_[sequence];
        if (span.generated || position < span.first_position + span.n_carried) {
            return token_phase::generated;
        }
        return span.ends_prompt && position == span.last_position() ? token_phase::last_prompt : token_phase::prompt;
    }

    /// True for the row that `row_selection::last` takes: the last token of a prompt that is complete, or of an answer.
    bool is_last(int32_t sequence, int32_t position) const {
        const sequence_span & span = spans_[sequence];
        return span.n_tokens > 0 && (span.generated || span.ends_prompt) && position == span.last_position();
    }

private:
    std::vector<sequence_span> spans_;
};

}  // namespace llama_steer
