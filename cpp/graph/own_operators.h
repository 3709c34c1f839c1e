#pragma once

#include "base/thread_scratch.h"
#include "graph/seam.h"

namespace llama_steer {

/// Which operators of ours take the place of upstream's in the graphs of a context, and what they work with.
struct own_operators {
    bool enabled = false;
    int threads = 1;  ///< that compute
    int n_layers = 0;
    thread_scratch scratch;

    // Of the graph that was built last.
    int attentions = 0;  ///< nodes of attention that are ours
    int products = 0;    ///< nodes of matrix products that are ours

    /// Whether they may take part in a graph: where all of the model lies on the host.
    bool fit(const built_graph & graph) const {
        for (int layer = 0; layer < n_layers; ++layer) {
            if (!graph.layer_on_host(graph.model, layer)) {
                return false;
            }
        }
        return enabled;
    }
};

}  // namespace llama_steer
