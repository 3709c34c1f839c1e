#pragma once

#include "engine/live_strengths.h"
#include "engine/requests.h"
#include "engine/sequence_table.h"
#include "model/context.h"

namespace llama_steer {

/// Appends tokens to sequences in as few forward passes as they fit, copies out the wanted logits and the captures'
/// labels. All or nothing: on failure or abort every sequence is cut back to where it was.
/// Throws llama_steer::error.
evaluate_result evaluate(context & target, sequence_table & sequences, evaluate_request & request,
                         const live_source & live);

/// What CONTEXT_FULL says.
extern const char * const memory_is_full;

/// Cuts `sequence` back to `position`, or to nothing where its memory is recurrent. Returns true if it was cleared.
bool cut_back(context & target, sequence_table & sequences, int32_t sequence, int32_t position);

}  // namespace llama_steer
