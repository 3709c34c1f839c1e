#pragma once

#include "engine/requests.h"
#include "engine/sequence_table.h"
#include "model/context.h"

#include <memory>
#include <vector>

namespace llama_steer {

/// Refuses what cannot be evaluated whole, before anything is computed. Throws PROMPT_EMPTY, PROMPT_TOO_LONG,
/// SEQUENCE_BUSY, BUFFER_TOO_SMALL (for logits, or for the rows that a capture would take), NO_ROW_SELECTED,
/// INVALID_ARGUMENT.
void check_evaluation(context & target, sequence_table & sequences, evaluate_request & request);

/// Refuses tokens that are not in the vocabulary. Throws INVALID_ARGUMENT.
void check_tokens(const context & target, const std::vector<int32_t> & tokens);

/// Rows of logits that are asked for.
int64_t wanted_rows(const evaluate_request & request);

/// The last position of a prompt that `entry` completes, plus one; -1 where it completes none.
int32_t prompt_end(const sequence_table & sequences, const evaluate_entry & entry);

/// Captures of evaluations whose rows have to be outputs.
std::vector<std::shared_ptr<tap>> taps_that_need_outputs(context & target);

}  // namespace llama_steer
