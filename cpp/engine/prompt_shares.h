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

/// A prompt that enters, in tokens.
struct entering_prompt {
    int32_t size;  ///< all that had to be computed of it
    int32_t left;  ///< what still has to be
};

/// Divides pass after pass. A prompt of at most half the size of the longest is short: the short ones take all, those
/// that have least left before others, which brings their first tokens in as few passes as they need. What the others
/// lack of their prompt_shares is lent. At most `limit` tokens are, and every pass that lends nothing gives back half
/// of its room, so that a stream of short prompts slows long ones and never stops them.
class prompt_divider {
public:
    static constexpr int32_t limit = 256;

    std::vector<int32_t> divide(const std::vector<entering_prompt> & prompts, int32_t room);
    int32_t lent() const { return lent_; }

private:
    int32_t lent_ = 0;
};

}  // namespace llama_steer
