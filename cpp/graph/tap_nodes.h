#pragma once

#include "capture/tap.h"
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
/// Where all rows are wanted as float32 and a layer on the host computes them into memory of its own, that memory is
/// moved into the destination: the layer writes its result there and the next layer reads it from there. Otherwise
/// the rows are gathered where they are computed; on the host straight into the destination, from a device by one copy
/// at the end of the pass, so that what is not wanted never leaves it and nothing waits in between.
class tap_nodes {
public:
    /// `sites`: per captured layer the site's tensor in the graph, null where it has none. Captured is what its readers
    /// see, after steering: interventions are in place before taps are made. Throws OUT_OF_MEMORY,
    /// SITE_UNKNOWN (this graph has no rows of that width there).
    tap_nodes(std::shared_ptr<tap> target, const std::vector<ggml_tensor *> & sites, const built_graph & graph,
              graph_editor & editor, const batch_layout & layout);

    /// Collects the views of the moved nodes; to be called when all instrumentation of the graph is in place.
    void finish(const graph_editor & editor);

    /// Points the nodes at the next free rows of the destination, fills the row indices, appends the labels.
    void set(const micro_batch & batch, const batch_layout & layout);

    bool reusable(const micro_batch & batch, const batch_layout & layout) const;

private:
    struct placed {
        ggml_tensor * tensor;
        size_t slot;
        bool copied;  ///< by a node of ours, not written by the layer itself
        std::vector<ggml_tensor *> views;
    };

    void capture_in_place(ggml_tensor * owner, size_t slot);
    void capture_copy(ggml_tensor * site, ggml_tensor * read, size_t slot, const built_graph & graph,
                      graph_editor & editor);
    void place(ggml_tensor * tensor, size_t slot, bool copied);
    void move(const placed & node);
    ggml_tensor * row_indices(const built_graph & graph, bool cut);

    std::shared_ptr<tap> target_;
    ggml_backend_buffer_ptr buffer_;
    std::vector<placed> placed_;
    std::vector<size_t> cut_slots_;           ///< captured layers that compute fewer rows than the micro-batch has
    std::array<ggml_tensor *, 2> indices_{};  ///< row indices of a gather: among all rows, among output rows
    selected_rows built_for_;
    selected_rows rows_;
    mutable selected_rows next_;  ///< of `reusable`, kept so that a step allocates nothing
};

}  // namespace llama_steer
