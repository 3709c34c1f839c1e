#include "graph/steer_nodes.h"

#include "graph/site_map.h"
#include "steering/add_kernel.h"

#include <ggml.h>

namespace llama_steer {

steer_nodes::steer_nodes(const steering_plan & plan, int n_layers, const built_graph & graph, graph_editor & editor)
    : device_(plan), device_capacity_(device_terms::capacity_for(plan)) {
    site_map sites(editor);
    for (int layer = 0; layer < n_layers; ++layer) {
        ggml_tensor * site = plan.steers(layer) ? sites.find("residual", layer) : nullptr;
        if (site == nullptr) {
            continue;
        }
        const bool cut = site->ne[1] != graph.batch.n_tokens;
        ggml_tensor * steered = nullptr;
        if (graph.layer_on_host(graph.model, layer)) {
            operators_.push_back({cut ? &cut_ : &full_, layer});
            const int n_tasks = site->ne[1] > 1 ? GGML_N_TASKS_MAX : 1;
            steered = ggml_map_custom1_inplace(graph.context, site, compute, n_tasks, &operators_.back());
        } else {
            ++device_layers_;
            steered = device_.add_to(site, layer, cut, graph);
        }
        ggml_format_name(steered, "steered-%d", layer);
        editor.repoint_readers(site, steered);
        editor.insert_after(site, steered);
    }
}

bool steer_nodes::fits(const steering_plan & plan) const {
    return device_layers_ == 0 || device_terms::capacity_for(plan) == device_capacity_;
}

void steer_nodes::set(const micro_batch & batch, const batch_layout & layout, const steering_plan & plan) {
    full_.clear();
    cut_.clear();
    if (operators_.empty() && device_layers_ == 0) {
        return;
    }
    for (int32_t i = 0; i < batch.n_tokens; ++i) {
        const int32_t sequence = batch.sequence(i);
        const bool output = batch.is_output(i);
        full_.add_row(plan.list(sequence), layout, sequence, batch.positions[i], output);
        if (output) {
            cut_.add_last_row_of(full_);
        }
    }
    device_.set(full_, cut_, plan);
}

void steer_nodes::compute(ggml_tensor * result, const ggml_tensor *, int ith, int nth, void * userdata) {
    const auto * op = static_cast<const layer_operator *>(userdata);
    add_terms(static_cast<float *>(result->data), result->ne[0], static_cast<int64_t>(result->nb[1] / sizeof(float)),
              *op->terms, op->layer, ith, nth);
}

}  // namespace llama_steer
