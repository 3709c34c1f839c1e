#include "engine/prompt_shares.h"

#include <algorithm>
#include <cstddef>
#include <numeric>

namespace llama_steer {

namespace {

/// Indices by value, the smallest first; stable, so that of equals the earlier comes first.
std::vector<size_t> ascending(const std::vector<int32_t> & values) {
    std::vector<size_t> order(values.size());
    std::iota(order.begin(), order.end(), size_t{0});
    std::stable_sort(order.begin(), order.end(), [&](size_t a, size_t b) { return values[a] < values[b]; });
    return order;
}

/// Gives each in turn what it still wants, while there is room.
void give_in_order(const std::vector<size_t> & order, const std::vector<int32_t> & wanted, int32_t room,
                   std::vector<int32_t> & shares) {
    for (const size_t each : order) {
        const int32_t more = std::min(wanted[each] - shares[each], room);
        shares[each] += more;
        room -= more;
    }
}

}  // namespace

std::vector<int32_t> fair_shares(const std::vector<int32_t> & wanted, int32_t room) {
    std::vector<int32_t> shares(wanted.size(), 0);
    auto left = static_cast<int32_t>(wanted.size());
    for (const size_t each : ascending(wanted)) {
        shares[each] = std::min(wanted[each], (room + left - 1) / left);
        room -= shares[each];
        --left;
    }
    return shares;
}

std::vector<int32_t> prompt_shares(const std::vector<int32_t> & wanted, int32_t room) {
    const auto count = static_cast<int32_t>(wanted.size());
    std::vector<int32_t> shares = fair_shares(wanted, std::max((room + 1) / 2, std::min(count, room)));
    give_in_order(ascending(wanted), wanted, room - std::accumulate(shares.begin(), shares.end(), 0), shares);
    return shares;
}

std::vector<int32_t> prompt_divider::divide(const std::vector<entering_prompt> & prompts, int32_t room) {
    std::vector<int32_t> wanted;
    int32_t longest = 0;
    for (const entering_prompt & each : prompts) {
        wanted.push_back(each.left);
        longest = std::max(longest, each.size);
    }
    std::vector<size_t> order = ascending(wanted);
    std::stable_partition(order.begin(), order.end(), [&](size_t i) { return prompts[i].size <= longest / 2; });
    std::vector<int32_t> shares(prompts.size(), 0);
    give_in_order(order, wanted, room, shares);

    std::vector<int32_t> fair = prompt_shares(wanted, room);
    int32_t lacking = 0;
    for (size_t i = 0; i < prompts.size(); ++i) {
        lacking += std::max(0, fair[i] - shares[i]);
    }
    const bool any_short = !order.empty() && prompts[order.front()].size <= longest / 2;
    if (any_short && lent_ + lacking <= limit) {
        lent_ += lacking;
        return shares;
    }
    lent_ = std::max(0, lent_ - room / 2);
    return fair;
}

}  // namespace llama_steer
