#pragma once

#include <cstddef>
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
    int32_t n_tokens = 0;     ///< 0: the sequence is not in the batch
    int32_t n_carried = 0;    ///< of them the first, that end the answer before: generated whatever follows
    bool generated = false;   ///< tokens of an answer rather than of a prompt
    int32_t prompt_end = -1;  ///< position after the prompt's last token, also in its earlier chunks; -1: not known

    int32_t last_position() const { return first_position + n_tokens - 1; }
};

/// What the caller knows of the batch in flight, by sequence, and of the tokens before it. llama.cpp may split and
/// reorder the batch; taps and interventions look their rows up here by (sequence, position).
class batch_layout {
public:
    explicit batch_layout(int32_t max_sequences) : spans_(max_sequences), histories_(max_sequences) {}

    /// Begins a new batch. What the sequences held before stays known.
    void clear() {
        spans_.assign(spans_.size(), sequence_span{});
        ++pass_;
    }
    /// Counts the batches.
    uint64_t pass() const { return pass_; }

    /// `tokens` [span.n_tokens]; null where they are not known.
    void set(int32_t sequence, const sequence_span & span, const int32_t * tokens = nullptr);

    const sequence_span & span(int32_t sequence) const { return spans_[sequence]; }

    int32_t max_sequences() const { return static_cast<int32_t>(spans_.size()); }

    /// The tokens of a sequence by position, at least to the end of its span; -1 where not known.
    const std::vector<int32_t> & tokens(int32_t sequence) const { return histories_[sequence].tokens; }
    /// Changes whenever another token takes the place of one that was there.
    uint64_t rewrites(int32_t sequence) const { return histories_[sequence].rewrites; }

    token_phase phase(int32_t sequence, int32_t position) const {
        const sequence_span & span = spans_[sequence];
        if (span.generated || position < span.first_position + span.n_carried) {
            return token_phase::generated;
        }
        return position + 1 == span.prompt_end ? token_phase::last_prompt : token_phase::prompt;
    }

private:
    struct history {
        std::vector<int32_t> tokens;
        uint64_t rewrites = 0;
    };

    uint64_t pass_ = 0;
    std::vector<sequence_span> spans_;
    std::vector<history> histories_;
};

}  // namespace llama_steer
