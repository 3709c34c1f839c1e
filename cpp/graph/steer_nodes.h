#pragma once

#include "graph/device_sums.h"
#include "graph/graph_editor.h"
#include "graph/seam.h"
#include "graph/site_map.h"
#include "steering/program_compiler.h"
#include "steering/steering_plan.h"

#include <deque>

namespace llama_steer {

/// The interventions in one built graph. At every place that the plan uses, one pass over the rows does all that their
/// programs say; rows with nothing to do are not touched. Where a layer lies on a device, plain sums are added there in
/// the device's own operators; anything else brings the rows of that place to the host and back.
class steer_nodes {
public:
    /// Inserts a node at every place that `plan` uses and makes the readers of the site read that node. Throws
    /// SITE_UNKNOWN where the graph lacks a place, OUT_OF_MEMORY where it has no room.
    steer_nodes(const steering_plan & plan, const built_graph & graph, graph_editor & editor, direction_store & store);

    /// Compiles the lists of the micro-batch's sequences to the programs of its rows. Returns how often directions were
    /// uploaded to a device, once for each site.
    int set(const micro_batch & batch, const batch_layout & layout, const steering_plan & plan,
            program_compiler & compiler);

    /// False where the graph has no room for the sums in use, or more than it should.
    bool fits(const steering_plan & plan) const;

private:
    /// What the operator of one place needs; its address is baked into the graph.
    struct place_operator {
        const row_programs * programs;
        int64_t width;
        int32_t site;
        int layer;
    };
    static void compute(ggml_tensor * result, const ggml_tensor * rows, int ith, int nth, void * userdata);

    void insert_operator(ggml_tensor * site, const place_operator & what, bool on_host, const built_graph & graph,
                         graph_editor & editor);

    std::deque<site_programs> programs_;  ///< by site; a deque: operators know their addresses
    std::deque<place_operator> operators_;
    struct device_part {
        const site_programs * programs;
        device_sums sums;
    };
    std::deque<device_part> device_parts_;
    device_capacity device_capacity_;
};

}  // namespace llama_steer
