#include "graph/attention_nodes.h"

#include <cstring>

#include <ggml-backend.h>
#include <ggml.h>

namespace llama_steer {

namespace {

/// What upstream gives its operator, in this order (ggml_flash_attn_ext).
struct upstream_parameters {
    float scale;
    float max_bias;
    float softcap;
};

upstream_parameters parameters_of(const ggml_tensor * node) {
    upstream_parameters parameters;
    static_assert(sizeof parameters <= sizeof node->op_params, "they lie at the beginning");
    std::memcpy(&parameters, node->op_params, sizeof parameters);
    return parameters;
}

bool readable(const ggml_tensor * memory) {
    return memory->nb[0] == ggml_type_size(memory->type) &&
           (memory->type == GGML_TYPE_F32 || ggml_get_type_traits(memory->type)->to_float != nullptr);
}

bool can_compute(const ggml_tensor * node, int32_t n_tokens) {
    if (node->op != GGML_OP_FLASH_ATTN_EXT) {
        return false;
    }
    const ggml_tensor * queries = node->src[0];
    const ggml_tensor * keys = node->src[1];
    const ggml_tensor * values = node->src[2];
    const ggml_tensor * mask = node->src[3];
    const bool mask_fits = mask != nullptr && mask->type == GGML_TYPE_F16 && mask->op == GGML_OP_NONE &&
                           mask->nb[0] == sizeof(ggml_fp16_t) && mask->ne[0] == keys->ne[1] &&
                           mask->ne[1] >= queries->ne[1] && mask->ne[2] == 1 && mask->ne[3] == queries->ne[3];
    const bool queries_fit = queries->type == GGML_TYPE_F32 && queries->nb[0] == sizeof(float) &&
                             queries->ne[1] * queries->ne[3] == n_tokens;
    const bool memory_fits = readable(keys) && readable(values) && keys->ne[3] == queries->ne[3] &&
                             values->ne[2] == keys->ne[2] && values->ne[3] == keys->ne[3];
    return mask_fits && queries_fit && memory_fits && parameters_of(node).max_bias == 0 && ggml_is_contiguous(node);
}

/// Gives a node our operator in place of upstream's. Its result, name and sources stay, and so does the graph's order.
void take_over(ggml_tensor * node, ggml_context * context, attention_settings & settings) {
    const int64_t * ne = node->ne;
    const ggml_tensor * made = ggml_custom_4d(context, node->type, ne[0], ne[1], ne[2], ne[3], node->src, 3,
                                              compute_attention, GGML_N_TASKS_MAX, &settings);
    node->op = made->op;
    std::memcpy(node->op_params, made->op_params, sizeof node->op_params);
}

}  // namespace

attention_nodes::attention_nodes(own_operators & ours, const built_graph & graph, const graph_editor & editor) {
    ours.attentions = 0;
    if (!ours.fit(graph)) {
        return;
    }
    std::vector<ggml_tensor *> nodes;
    for (ggml_tensor * node : editor.all()) {
        if (can_compute(node, graph.batch.n_tokens)) {
            nodes.push_back(node);
        }
    }
    // Each takes the header of a node, from which its operator is copied.
    if (!editor.has_room(static_cast<int>(nodes.size()))) {
        return;
    }
    for (ggml_tensor * node : nodes) {
        const upstream_parameters parameters = parameters_of(node);
        settings_.push_back({&seen_through(node->src[3]).visible, &ours.scratch, parameters.scale, parameters.softcap});
        take_over(node, graph.context, settings_.back());
        ours.scratch.reserve(ours.threads, attention_scratch_bytes(node));
        ++ours.attentions;
    }
}

attention_nodes::masked & attention_nodes::seen_through(const ggml_tensor * mask) {
    for (masked & each : masks_) {
        if (each.mask == mask) {
            return each;
        }
    }
    masks_.push_back({mask, {}});
    return masks_.back();
}

void attention_nodes::set(const micro_batch & batch) {
    if (masks_.empty()) {
        return;
    }
    sequences_.clear();
    for (int32_t i = 0; i < batch.n_tokens; ++i) {
        sequences_.push_back(batch.sequence(i));
    }
    for (masked & each : masks_) {
        const ggml_tensor * mask = each.mask;
        const auto streams = static_cast<int32_t>(mask->ne[3]);
        each.visible.divide(sequences_, batch.n_tokens / streams);
        each.visible.read({static_cast<const char *>(mask->data), mask->ne[0], static_cast<int64_t>(mask->nb[1]),
                           static_cast<int64_t>(mask->nb[3])});
    }
}

}  // namespace llama_steer
