#include "engine/fair_shares.h"

#include <algorithm>
#include <cstddef>
#include <numeric>

namespace llama_steer {

std::vector<int32_t> fair_shares(const std::vector<int32_t> & wanted, int32_t room) {
    std::vector<size_t> order(wanted.size());
    std::iota(order.begin(), order.end(), size_t{0});
    // Stable: of equally long ones, the earlier gets what cannot be divided.
    std::stable_sort(order.begin(), order.end(), [&](size_t a, size_t b) { return wanted[a] < wanted[b]; });
    std::vector<int32_t> shares(wanted.size(), 0);
    auto left = static_cast<int32_t>(wanted.size());
    for (const size_t each : order) {
        shares[each] = std::min(wanted[each], (room + left - 1) / left);
        room -= shares[each];
        --left;
    }
    return shares;
}

}  // namespace llama_steer
