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

/// Divides pass after pass. Where some prompt has at most half of what the longest has left, those that have least left
/// take all, which brings a short prompt's first token in as few passes as it needs; what the others lack of their
/// prompt_shares is lent. At most `limit` tokens are, and every pass that lends nothing gives back half of its room, so
/// that a stream of short prompts slows long ones and never stops them.
class prompt_divider {
public:
    static constexpr int32_t limit = 256;

    std::vector<int32_t> divide(const std::vector<int32_t> & wanted, int32_t room);
    int32_t lent() const { return lent_; }

private:
    int32_t lent_ = 0;
};

}  // namespace llama_steer
