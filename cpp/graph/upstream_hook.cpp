// Compiled into the llama target, outside its unity build; llama-model.cpp is compiled with
// build_graph=build_graph_upstream, so that its definition becomes the upstream function and ours takes its name.
// The one file that sees llama.cpp's internal headers: on moving the pin, this is what has to compile again.

#define build_graph                                                                                                    \
    build_graph_upstream(const llm_graph_params &) const;                                                              \
    ggml_cgraph * build_graph
#include "llama-model.h"
#undef build_graph

#include "graph/seam.h"
#include "llama-graph.h"

#include <type_traits>

namespace {

using llama_steer::built_graph;
using llama_steer::graph_client;
using llama_steer::graph_inputs;
using llama_steer::micro_batch;

static_assert(std::is_same_v<llama_pos, int32_t> && std::is_same_v<llama_token, int32_t> &&
                  std::is_same_v<llama_seq_id, int32_t>,
              "micro_batch borrows llama.cpp's arrays as int32_t");

micro_batch view_of(const llama_ubatch & ubatch, uint32_t n_outputs) {
    micro_batch view;
    view.n_tokens = static_cast<int32_t>(ubatch.n_tokens);
    view.n_outputs = static_cast<int32_t>(n_outputs);
    view.tokens = ubatch.token;
    view.positions = ubatch.pos;
    view.sequences = ubatch.seq_id;
    view.outputs = ubatch.output;
    return view;
}

/// Carries our inputs through upstream's list of graph inputs.
class hooked_input final : public llm_graph_input_i {
public:
    hooked_input(std::unique_ptr<graph_inputs> inputs, uint32_t n_outputs)
        : inputs_(std::move(inputs)), n_outputs_(n_outputs) {}

    void set_input(const llama_ubatch * ubatch) override { inputs_->set(view_of(*ubatch, n_outputs_)); }

    bool can_reuse(const llm_graph_params & params) override {
        return params.n_outputs == n_outputs_ && inputs_->reusable(view_of(params.ubatch, params.n_outputs));
    }

private:
    std::unique_ptr<graph_inputs> inputs_;
    uint32_t n_outputs_;
};

bool layer_on_host(const void * model, int layer) {
    const ggml_backend_dev_t device = static_cast<const llama_model *>(model)->dev_layer(layer);
    return device == nullptr || ggml_backend_dev_type(device) == GGML_BACKEND_DEVICE_TYPE_CPU;
}

ggml_backend_buffer_type * layer_memory(const void * model, int layer) {
    const ggml_backend_dev_t device = static_cast<const llama_model *>(model)->dev_layer(layer);
    return device == nullptr ? ggml_backend_cpu_buffer_type() : ggml_backend_dev_buffer_type(device);
}

}  // namespace

ggml_cgraph * llama_model::build_graph(const llm_graph_params & params) const {
    ggml_cgraph * graph = build_graph_upstream(params);

    const bool ours = params.cparams.cb_eval == nullptr && params.cparams.cb_eval_user_data != nullptr;
    if (!ours || graph == nullptr) {
        return graph;
    }

    auto * client = static_cast<graph_client *>(params.cparams.cb_eval_user_data);
    built_graph built;
    built.context = params.res->get_ctx();
    built.graph = graph;
    built.model = this;
    built.layer_on_host = layer_on_host;
    built.layer_memory = layer_memory;
    built.batch = view_of(params.ubatch, params.n_outputs);
    params.res->add_input(std::make_unique<hooked_input>(client->instrument(built), params.n_outputs));
    return graph;
}
