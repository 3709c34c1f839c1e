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

void give_shortest_first(std::vector<int32_t> & shares, const std::vector<int32_t> & wanted, int32_t room) {
    for (const size_t each : ascending(wanted)) {
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
    give_shortest_first(shares, wanted, room - std::accumulate(shares.begin(), shares.end(), 0));
    return shares;
}

std::vector<int32_t> prompt_divider::divide(const std::vector<int32_t> & wanted, int32_t room) {
    std::vector<int32_t> fair = prompt_shares(wanted, room);
    const auto [shortest, longest] = std::minmax_element(wanted.begin(), wanted.end());
    if (!wanted.empty() && *shortest <= *longest / 2) {
        std::vector<int32_t> shares(wanted.size(), 0);
        give_shortest_first(shares, wanted, room);
        int32_t lacking = 0;
        for (size_t i = 0; i < wanted.size(); ++i) {
            lacking += std::max(0, fair[i] - shares[i]);
        }
        if (lacking > 0 && lent_ + lacking <= limit) {
            lent_ += lacking;
            return shares;
        }
    }
    lent_ = std::max(0, lent_ - room / 2);
    return fair;
}

}  // namespace llama_steer
