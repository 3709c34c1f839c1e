#include "steering/steering_plan.h"

#include <set>

namespace llama_steer {

bool steering_plan::set(int32_t sequence, std::shared_ptr<const steering_list> list) {
    // The new list is counted before the old one leaves, so that a layer both use is never seen as released.
    const std::shared_ptr<const steering_list> old = std::move(lists_[sequence]);
    lists_[sequence] = std::move(list);
    const bool gained = count(lists_[sequence].get(), 1);
    const bool lost = count(old.get(), -1);
    return gained || lost;
}

std::vector<const direction_set *> steering_plan::sets() const {
    std::set<const direction_set *> distinct;
    for (const auto & list : lists_) {
        if (list != nullptr) {
            for (const steering_term & term : *list) {
                distinct.insert(term.directions.get());
            }
        }
    }
    return {distinct.begin(), distinct.end()};
}

bool steering_plan::count(const steering_list * list, int32_t change) {
    bool changed = false;
    if (list == nullptr) {
        return changed;
    }
    for (const steering_term & term : *list) {
        for (int layer = 0; layer < term.directions->n_layers(); ++layer) {
            if (term.directions->layer(layer) != nullptr) {
                const bool before = steers(layer);
                users_[layer] += change;
                changed = changed || before != steers(layer);
            }
        }
    }
    return changed;
}

}  // namespace llama_steer
