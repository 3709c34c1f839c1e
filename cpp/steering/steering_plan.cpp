#include "steering/steering_plan.h"

#include <algorithm>

namespace llama_steer {

bool steering_plan::set(int32_t sequence, std::shared_ptr<const steering_list> list) {
    // The new list is counted before the old one leaves, so that a place both use is never seen as released.
    std::shared_ptr<const steering_list> & slot = lists_[static_cast<size_t>(sequence)];
    const std::shared_ptr<const steering_list> old = std::move(slot);
    slot = std::move(list);
    const bool gained = count(slot.get(), 1);
    const bool lost = count(old.get(), -1);
    return gained || lost;
}

int32_t steering_plan::most_sums() const {
    int32_t most = 0;
    std::map<int32_t, int32_t> by_site;
    for (const std::shared_ptr<const steering_list> & list : lists_) {
        by_site.clear();
        for (size_t i = 0; list != nullptr && i < list->size(); ++i) {
            if ((*list)[i]->is_plain_sum()) {
                most = std::max(most, ++by_site[(*list)[i]->site()]);
            }
        }
    }
    return most;
}

bool steering_plan::count(const steering_list * list, int32_t change) {
    bool changed = false;
    if (list == nullptr) {
        return changed;
    }
    for (const std::shared_ptr<intervention> & each : *list) {
        const direction_set & set = each->directions();
        const auto kind = each->is_plain_sum() ? &node_use::sums : &node_use::others;
        for (int layer = 0; layer < set.n_layers(); ++layer) {
            if (set.layer(layer) != nullptr) {
                changed = count_at(each->site(), layer, set.width(), kind, change) || changed;
            }
        }
        if (each->is_plain_sum() && (sums_[&set] += change) == 0) {
            sums_.erase(&set);
        }
        if (each->when() != nullptr) {
            for (const condition_probe * probe : each->when()->probes()) {
                changed = count_at(probe->site, probe->layer, probe->direction->width(), &node_use::others, change) ||
                          changed;
            }
        }
    }
    return changed;
}

bool steering_plan::count_at(int32_t site, int layer, int64_t width, int32_t node_use::*kind, int32_t change) {
    std::map<int, node_use> & layers = uses_[site];
    node_use & use = layers[layer];
    const node_use before = use;
    use.*kind += change;
    use.width = width;
    const bool changed = !use.same_kind(before);
    if (!use.used()) {
        layers.erase(layer);
        if (layers.empty()) {
            uses_.erase(site);
        }
    }
    return changed;
}

}  // namespace llama_steer
