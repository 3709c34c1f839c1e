#pragma once

#include "graph/graph_editor.h"
#include "graph/seam.h"
#include "graph/selected_rows.h"

#include <ggml-cpp.h>

#include <array>
#include <memory>
#include <vector>

namespace llama_steer {

/// One tap in one built graph: the tensors whose memory lies in the tap's destination.
///
/// Where all rows are wanted and a layer on the host computes them into memory of its own, the node itself is moved
/// into the destination: the layer writes its result there and the next layer reads it from there. Otherwise one node
/// gathers (or copies) the rows inside the graph.
class tap_nodes {
public:
    /// Captures the site as its readers see it: after steering. Interventions are in place before taps are made.
    tap_nodes(std::shared_ptr<tap> target, const built_graph & graph, graph_editor & editor,
              const batch_layout & layout);

    /// Collects the views of the moved nodes; to be called when all instrumentation of the graph is in place.
    void finish(const graph_editor & editor);

    /// Points the nodes at the next free rows of the destination, fills the row indices, appends the labels.
    void set(const micro_batch & batch, const batch_layout & layout);

    bool reusable(const micro_batch & batch, const batch_layout & layout) const;

private:
    struct placed {
        ggml_tensor * tensor;
        size_t slot;
        std::vector<ggml_tensor *> views;
    };

    void place(ggml_tensor * tensor, size_t slot);
    void move(placed & node);
    ggml_tensor * row_indices(const built_graph & graph, bool cut);

    std::shared_ptr<tap> target_;
    ggml_backend_buffer_ptr buffer_;
    std::vector<placed> placed_;
    std::vector<size_t> cut_slots_;           ///< captured layers that compute fewer rows than the micro-batch has
    std::array<ggml_tensor *, 2> indices_{};  ///< row indices of a gather: among all rows, among output rows
    selected_rows rows_;
    size_t n_full_;  ///< selected rows that the graph was built for
    size_t n_cut_;
};

}  // namespace llama_steer
