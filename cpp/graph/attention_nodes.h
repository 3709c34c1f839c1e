#pragma once

#include "attention/attention.h"
#include "attention/visible_cells.h"
#include "graph/graph_editor.h"
#include "graph/own_operators.h"
#include "graph/seam.h"

#include <deque>
#include <vector>

struct ggml_tensor;

namespace llama_steer {

/// The attention of one graph: upstream's flash attention nodes become ours, which read only the cells that a row sees.
/// In one memory for all sequences upstream's reads the mask of every cell of all others, for every head and layer.
/// Positions as biases (ALiBi) are left to upstream.
class attention_nodes {
public:
    /// Changes the graph's nodes in place; none where the graph has no room. Throws std::bad_alloc.
    attention_nodes(own_operators & ours, const built_graph & graph, const graph_editor & editor);

    /// Reads who sees what; upstream has filled its masks. Before every computation of the graph.
    void set(const micro_batch & batch);

private:
    struct masked {
        const ggml_tensor * mask;
        visible_cells visible;
    };

    masked & seen_through(const ggml_tensor * mask);

    std::deque<masked> masks_;  ///< one, or two where some layers have a sliding window; addresses stay
    std::deque<attention_settings> settings_;
    std::vector<int32_t> sequences_;
};

}  // namespace llama_steer
