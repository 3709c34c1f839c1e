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
    room -= std::accumulate(shares.begin(), shares.end(), 0);
    for (const size_t each : ascending(wanted)) {
        const int32_t more = std::min(wanted[each] - shares[each], room);
        shares[each] += more;
        room -= more;
    }
    return shares;
}

}  // namespace llama_steer
