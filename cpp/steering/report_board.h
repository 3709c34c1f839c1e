#pragma once

#include "steering/intervention.h"

#include <cstdint>
#include <map>
#include <vector>

namespace llama_steer {

/// The projections that tracking and observing interventions found on the last token of their sequence in the pass
/// under way. Decoding thread only; the kernels write to the places it gives out while a pass runs.
class report_board {
public:
    /// Room for the projections of `source`: its directions' n_vectors(), layer by layer. Stays where it is.
    float * place(const intervention & source) {
        std::vector<float> & values = values_[source.id()];
        values.assign(static_cast<size_t>(source.directions().n_vectors()), 0.0F);
        return values.data();
    }

    /// What was found in the pass under way; null where nothing was.
    const std::vector<float> * find(uint64_t intervention_id) const {
        const auto found = values_.find(intervention_id);
        return found == values_.end() || found->second.empty() ? nullptr : &found->second;
    }

    /// Forgets everything: a pass begins. Keeps its memory.
    void clear() {
        for (auto & [id, values] : values_) {
            values.clear();
        }
    }
    /// No intervention of that id will report any more.
    void forget(uint64_t intervention_id) { values_.erase(intervention_id); }

private:
    std::map<uint64_t, std::vector<float>> values_;
};

}  // namespace llama_steer
