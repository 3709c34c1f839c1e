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
    /// The step of a prompt token whose distance from the prompt's end is not known yet: far before any other.
    static constexpr int64_t far_before = -(int64_t{1} << 53);

    explicit batch_layout(int32_t max_sequences) : spans_(max_sequences), histories_(max_sequences) {}

    /// Begins a new batch. What the sequences held before stays known.
    void clear() {
        spans_.assign(spans_.size(), sequence_span{});
        ++pass_;
    }
    /// Counts the batches.
    uint64_t pass() const { return pass_; }

    /// Says what a sequence has in the batch. What it held from `span.first_position` on is forgotten, so that a span
    /// may be said and then never be decoded. `tokens` [span.n_tokens]; null where they are not known.
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

    /// The clock of the token at `position`, which lies in the batch: 0 for the last prompt token, which chooses the
    /// answer's first token, 1 for that one, 2, ...; prompt tokens before it are negative. `far_before` for pieces of a
    /// prompt whose end is not known. An answer begins with the first generated token behind a prompt token, or of its
    /// sequence, and goes on until the next prompt token; carried tokens belong to it.
    int64_t step(int32_t sequence, int32_t position) const {
        const sequence_span & span = spans_[sequence];
        if (phase(sequence, position) == token_phase::generated) {
            return int64_t{position} - histories_[sequence].answer_begin + 1;
        }
        return span.prompt_end < 0 ? far_before : int64_t{position} - span.prompt_end + 1;
    }

private:
    /// Tokens of one kind, up to the next part.
    struct part {
        int32_t begin;
        bool generated;
    };
    struct history {
        std::vector<int32_t> tokens;
        uint64_t rewrites = 0;
        std::vector<part> parts;  ///< by position, of either kind in turn
        int32_t answer_begin =
            0;  ///< position of the first token of the answer that the span's generated ones belong to
    };
    static void divide(history & past, const sequence_span & span);

    uint64_t pass_ = 0;
    std::vector<sequence_span> spans_;
    std::vector<history> histories_;
};

}  // namespace llama_steer
