#pragma once

#include "capture/tap.h"
#include "model/sampler.h"

#include <cstdint>
#include <exception>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <vector>

namespace llama_steer {

/// Names an operation of an engine, to cancel it.
using operation_id = uint64_t;

/// The labels of what a tap held when an operation was done.
struct capture_labels {
    std::shared_ptr<tap> target;
    std::vector<row_label> full;
    std::vector<row_label> cut;  ///< of the layers that compute output rows only
    std::vector<bool> is_cut;    ///< per captured layer, which of the two holds for it
};

/// What `target` holds now.
capture_labels labels_of(const std::shared_ptr<tap> & target);

enum class logits_rows : uint8_t { none, last, all };

/// Tokens to append to one sequence.
struct evaluate_entry {
    int32_t sequence = 0;
    std::vector<int32_t> tokens;
    bool generated = false;   ///< tokens of an answer rather than of a prompt
    bool ends_prompt = true;  ///< the last token is the prompt's last; false for all but the last piece of a prompt
    logits_rows logits = logits_rows::last;
    int32_t carried = 0;  ///< leading tokens that the answer before left pending; they bring no logits. Set by evaluate
};

struct evaluate_request {
    std::vector<evaluate_entry> entries;
    /// Where the wanted logits go, [rows][vocabulary size] in the order of entries and tokens. Borrowed until done.
    float * logits = nullptr;
    size_t logits_capacity = 0;  ///< floats
};

struct evaluate_result {
    int64_t logits_rows = 0;
    std::vector<capture_labels> captures;
};

/// Called once, on the engine's thread; `failure` is null on success.
using evaluate_done = std::function<void(evaluate_result && result, std::exception_ptr failure)>;
using operation_done = std::function<void(std::exception_ptr failure)>;

struct generate_request {
    int32_t sequence = 0;
    std::vector<int32_t> prompt;
    int32_t max_tokens = 0;
    std::vector<int32_t> stop_tokens;       ///< besides the vocabulary's own end-of-generation tokens
    std::vector<std::string> stop_strings;  ///< UTF-8 text that ends the answer before it; none empty
    sampler_options sampling;
    std::shared_ptr<tap> capture;  ///< records this answer; null: none
    bool share_prefix = false;     ///< see prefix_sharing.h; not together with a capture, whose rows would be missing
};

enum class finish_reason : uint8_t {
    stop,     ///< an end-of-generation or stop token (not reported as a token) or a stop string was chosen
    length,   ///< max_tokens were generated
    context,  ///< the sequence is full
};

/// What a tracking or observing intervention found on one row.
struct projection_report {
    uint64_t intervention;
    std::vector<float> values;  ///< layer by layer, vector by vector
};

/// A token of an answer and what was found on the row that chose it.
struct answer_token {
    sampled_token chosen;
    std::vector<projection_report> projections;
};

/// Reported when no stop string can begin in its text any more.
struct generated_token {
    operation_id generation;
    answer_token token;
    int32_t text_bytes = -1;  ///< how many bytes of its text come before a stop string; -1: all, there is none
};

struct generation_end {
    operation_id generation;
    finish_reason reason;
    std::exception_ptr failure;              ///< null unless it failed or was cancelled
    std::optional<capture_labels> captured;  ///< of the request's capture, if it was finished
    int32_t stop_token = -1;                 ///< the token that ended it
    int32_t stop_string = -1;                ///< which of the request's stop strings ended it
    int32_t shared_tokens = 0;               ///< of the prompt, taken from another sequence
};

/// What one step of all running generations brought. Delivered on the engine's thread, once per step.
struct step_events {
    std::vector<generated_token> tokens;
    std::vector<generation_end> ends;
    bool empty() const { return tokens.empty() && ends.empty(); }
};

}  // namespace llama_steer
