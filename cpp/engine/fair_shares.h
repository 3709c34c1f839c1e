#pragma once

#include <cstdint>
#include <vector>

namespace llama_steer {

/// Divides `room` tokens of a pass among prompts of which `wanted` tokens are left: equal shares, and what a short one
/// does not need goes to the others. Each gets 1 at least, while there is room.
std::vector<int32_t> fair_shares(const std::vector<int32_t> & wanted, int32_t room);

}  // namespace llama_steer
