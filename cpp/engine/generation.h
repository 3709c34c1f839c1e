#pragma once

#include "engine/pass.h"
#include "engine/requests.h"
#include "engine/sequence_table.h"

#include <optional>

namespace llama_steer {

/// One running generation: its prompt is fed in pieces, then one chosen token per pass, until it ends.
class generation {
public:
    /// Checks the request and claims the sequence. Throws INVALID_ARGUMENT, SEQUENCE_BUSY, PROMPT_EMPTY,
    /// PROMPT_TOO_LONG, BUFFER_TOO_SMALL (the request's capture).
    generation(operation_id id, generate_request request, context & target, sequence_table & sequences);
    /// Releases the sequence; what was chosen last stays pending there.
    ~generation();
    generation(const generation &) = delete;
    generation & operator=(const generation &) = delete;

    operation_id id() const { return id_; }
    int32_t sequence() const { return request_.sequence; }
    bool answering() const { return cursor_ == request_.prompt.size(); }

    /// Puts this generation's next tokens into the pass, as many as fit.
    void join(pass & next);

    /// After the pass has run: advances, chooses the next token where logits are there.
    void advance(step_events & events, std::vector<llama_token_data> & scratch);

    /// After a failed pass or on cancelling: cuts the sequence back to before the pass; to before the prompt, if no
    /// answer has begun.
    void undo();

    /// The labels of what the request's capture holds; nothing where it has none.
    std::optional<capture_labels> captured() const;

    /// MARKER_NOT_SEEN where the answer lacks a marker that steering requires; else null.
    std::exception_ptr missing_marker() const;

    /// Set when the generation is over.
    std::optional<finish_reason> finished() const { return finished_; }

private:
    bool is_stop(int32_t token) const;
    std::vector<projection_report> projections() const;
    void check_capture() const;

    operation_id id_;
    generate_request request_;
    context & target_;
    sequence_table & sequences_;
    sampler sampler_;
    int32_t start_;                   ///< position before the prompt
    std::optional<int32_t> carried_;  ///< token pending from the answer before, now first of the prompt
    size_t cursor_ = 0;               ///< prompt tokens evaluated
    int32_t generated_ = 0;           ///< tokens reported
    int32_t joined_ = 0;              ///< tokens in the pass under way
    int32_t output_ = -1;             ///< index of the row to choose from, -1 if the pass has none of ours
    std::optional<finish_reason> finished_;
};

}  // namespace llama_steer
