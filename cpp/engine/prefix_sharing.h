#pragma once

#include "engine/sequence_table.h"
#include "model/context.h"

#include <cstdint>
#include <vector>

namespace llama_steer {

/// Gives the empty `sequence` the memory of the longest beginning of `prompt` that some other sequence holds and that
/// was computed with the very steering that `sequence` has now: equal by content, token by token. At least the prompt's
/// last token is left to compute. Where conditions are decided by all of a prompt, only a sequence that still knows
/// what they measured on those tokens gives any. Returns how many tokens it got; 0 where nobody holds any, and for
/// models whose memory cannot be shared so (recurrent, or cut to a window already).
///
/// Throws INVALID_ARGUMENT (a token out of range, memories that are separate), SEQUENCE_BUSY (it holds tokens).
int32_t share_prefix(context & target, sequence_table & sequences, int32_t sequence,
                     const std::vector<int32_t> & prompt);

}  // namespace llama_steer
