#pragma once

#include <cstdint>
#include <vector>

namespace llama_steer {

/// Divides `room` tokens of a pass among prompts of which `wanted` tokens are left: equal shares, and what a short one
/// does not need goes to the others. Each gets 1 at least, while there is room.
std::vector<int32_t> fair_shares(const std::vector<int32_t> & wanted, int32_t room);

/// Divides `room` tokens of a pass among prompts of which `wanted` tokens are left: half of it equally, so that none
/// stands still, the other half to those that have least left, the earlier of equals first: a first token comes soonest
/// where prompts are finished one after the other and not all at last.
std::vector<int32_t> prompt_shares(const std::vector<int32_t> & wanted, int32_t room);

}  // namespace llama_steer
