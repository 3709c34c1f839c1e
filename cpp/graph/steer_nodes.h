#pragma once

#include "graph/device_terms.h"
#include "graph/graph_editor.h"
#include "graph/seam.h"
#include "steering/coefficients.h"
#include "steering/steering_plan.h"

#include <deque>

namespace llama_steer {

/// The interventions on the residual stream in one built graph. On the host one in-place pass per steered layer adds
/// all terms of all rows; rows without terms are not touched. On a device the terms are a matrix product of their own.
class steer_nodes {
public:
    /// Inserts a node after the residual of every layer that `plan` steers and makes its readers read that node.
    steer_nodes(const steering_plan & plan, int n_layers, const built_graph & graph, graph_editor & editor);

    /// Compiles the lists of the micro-batch's sequences to the terms of its rows.
    void set(const micro_batch & batch, const batch_layout & layout, const steering_plan & plan);

    /// False where the graph has no room for all direction sets in use.
    bool fits(const steering_plan & plan) const;

private:
    /// What the custom operator of one layer needs; its address is baked into the graph.
    struct layer_operator {
        const coefficients * terms;
        int layer;
    };
    static void compute(ggml_tensor * result, const ggml_tensor * rows, int ith, int nth, void * userdata);

    coefficients full_;                     ///< terms of every row
    coefficients cut_;                      ///< terms of the output rows, for the last block
    std::deque<layer_operator> operators_;  ///< of the layers on the host
    device_terms device_;
    int64_t device_layers_ = 0;
    int64_t device_capacity_;
};

}  // namespace llama_steer
