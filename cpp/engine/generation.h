#pragma once

#include "engine/pass.h"
#include "engine/requests.h"
#include "engine/sequence_table.h"
#include "engine/stop_filter.h"

#include <memory>
#include <optional>
#include <string>
#include <vector>

namespace llama_steer {

/// One running generation: its prompt is fed in pieces, then one chosen token per pass, until it ends.
class generation {
public:
    /// Checks the request and claims the sequence. `chooser` is of the request's sampling, and its own. Throws
    /// INVALID_ARGUMENT, SEQUENCE_BUSY, PROMPT_EMPTY, PROMPT_TOO_LONG, BUFFER_TOO_SMALL (the request's capture).
    generation(operation_id id, generate_request request, std::shared_ptr<sampler> chooser, context & target,
               sequence_table & sequences);
    /// Releases the sequence; what was chosen last stays pending there.
    ~generation();
    generation(const generation &) = delete;
    generation & operator=(const generation &) = delete;

    operation_id id() const { return id_; }
    int32_t sequence() const { return request_.sequence; }
    bool answering() const { return cursor_ == request_.prompt.size(); }

    /// Tokens of the prompt that had to be evaluated: all but those it shares.
    int32_t prompt_size() const { return static_cast<int32_t>(request_.prompt.size()) - shared_; }
    /// Tokens of the prompt that are not evaluated yet.
    int32_t prompt_left() const { return static_cast<int32_t>(request_.prompt.size() - cursor_); }
    /// Tokens by which the sequence can still grow.
    int32_t growth() const;

    /// Puts this generation's next tokens into the pass: the one chosen last, or of the prompt `most`.
    void join(pass & next, int32_t most);

    /// After the pass has run: advances, chooses the next token where logits are there. What goes wrong with the choice
    /// ends this generation alone.
    void advance(step_events & events, std::vector<llama_token_data> & scratch);

    /// Reports the tokens held back for a stop string that does not come any more.
    void release(step_events & events);

    /// After a failed pass or on cancelling: cuts the sequence back to before the pass; to before the prompt, if no
    /// answer has begun.
    void undo();

    bool finished() const { return end_.has_value(); }
    /// How it ended, when it has finished.
    generation_end end() const;

private:
    std::optional<sampled_token> choose(std::vector<llama_token_data> & scratch);
    void report(answer_token token, step_events & events);
    std::exception_ptr missing_marker() const;
    void report_decided(step_events & events);
    bool is_stop(int32_t token) const;
    std::vector<projection_report> projections() const;
    void check_capture() const;

    operation_id id_;
    generate_request request_;
    context & target_;
    sequence_table & sequences_;
    std::shared_ptr<sampler> sampler_;
    stop_filter stops_;
    std::string text_;                ///< of a token, for stops_
    int32_t start_;                   ///< position before the prompt
    std::optional<int32_t> carried_;  ///< token pending from the answer before, now first of the prompt
    size_t cursor_ = 0;               ///< prompt tokens evaluated
    int32_t shared_ = 0;              ///< of them those taken from another sequence
    int32_t generated_ = 0;           ///< tokens chosen, but for the one that ends the answer
    int32_t joined_ = 0;              ///< tokens in the pass under way
    int32_t output_ = -1;             ///< index of the row to choose from, -1 if the pass has none of ours
    std::optional<generation_end> end_;
};

}  // namespace llama_steer
