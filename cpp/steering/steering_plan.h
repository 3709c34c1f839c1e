#pragma once

#include "steering/intervention.h"

#include <map>
#include <memory>
#include <vector>

namespace llama_steer {

/// What acts on one site of one layer, over all sequences.
struct node_use {
    int32_t sums = 0;    ///< interventions that are plain sums
    int32_t others = 0;  ///< all others, and probes of conditions
    int64_t width = 0;   ///< floats in a row

    bool used() const { return sums + others > 0; }
    bool same_kind(const node_use & other) const {
        return (sums > 0) == (other.sums > 0) && (others > 0) == (other.others > 0);
    }
};

/// The steering list of every sequence of a context, and the places in the graph that any of them touches. Used on the
/// decoding thread only.
class steering_plan {
public:
    explicit steering_plan(int32_t max_sequences) : lists_(static_cast<size_t>(max_sequences)) {}

    /// Replaces the list of `sequence` (null or empty: not steered). Returns true if what the graph has to hold
    /// changed, so that it must be rebuilt; other numbers, selections and directions at the same places return false.
    bool set(int32_t sequence, std::shared_ptr<const steering_list> list);

    const steering_list * list(int32_t sequence) const { return lists_[static_cast<size_t>(sequence)].get(); }
    const std::shared_ptr<const steering_list> & shared_list(int32_t sequence) const {
        return lists_[static_cast<size_t>(sequence)];
    }
    bool empty() const { return uses_.empty(); }

    /// Site -> layer -> what acts there; places where nothing acts any more are not in it.
    const std::map<int32_t, std::map<int, node_use>> & uses() const { return uses_; }

    /// The distinct direction sets of plain sums, with how many interventions use them.
    const std::map<const direction_set *, int32_t> & sums() const { return sums_; }

    /// The most plain sums that one list has at one site.
    int32_t most_sums() const;

private:
    bool count(const steering_list * list, int32_t change);
    bool count_at(int32_t site, int layer, int64_t width, int32_t node_use::*kind, int32_t change);

    std::vector<std::shared_ptr<const steering_list>> lists_;
    std::map<int32_t, std::map<int, node_use>> uses_;
    std::map<const direction_set *, int32_t> sums_;
};

}  // namespace llama_steer
