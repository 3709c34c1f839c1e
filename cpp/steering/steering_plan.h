#pragma once

#include "steering/steering_list.h"

#include <memory>
#include <vector>

namespace llama_steer {

/// The steering list of every sequence of a context, and the layers that any of them touches. Used on the decoding
/// thread only.
class steering_plan {
public:
    steering_plan(int32_t max_sequences, int n_layers) : lists_(max_sequences), users_(n_layers, 0) {}

    /// Replaces the list of `sequence` (null or empty: not steered). Returns true if the set of steered layers changed,
    /// so that the graph has to be rebuilt; new strengths, scopes and directions on the same layers return false.
    bool set(int32_t sequence, std::shared_ptr<const steering_list> list);

    const steering_list * list(int32_t sequence) const { return lists_[sequence].get(); }

    /// The distinct direction sets in use, in no particular order.
    std::vector<const direction_set *> sets() const;

    /// Whether any sequence is steered at `layer`.
    bool steers(int layer) const { return users_[layer] > 0; }

private:
    bool count(const steering_list * list, int32_t change);

    std::vector<std::shared_ptr<const steering_list>> lists_;
    std::vector<int32_t> users_;  ///< per layer, how many terms act on it
};

}  // namespace llama_steer
