#pragma once

// The one seam into llama.cpp: what passes through it, in plain types.
//
// Every forward pass of every architecture is built by `llama_model::build_graph`. `upstream_hook.cpp`, compiled into
// the llama target, calls upstream's own and then hands the built graph to the `graph_client` of that context, which it
// finds in `cb_eval_user_data` (set together with a null `cb_eval`). Nothing else of llama.cpp's internals is used.

#include <cstdint>
#include <memory>

struct ggml_backend_buffer_type;
struct ggml_cgraph;
struct ggml_context;

namespace llama_steer {

/// The tokens of one micro-batch, as llama.cpp ordered them (equal splits reorder: trust only this).
/// Borrowed: valid during the call it is passed to.
struct micro_batch {
    int32_t n_tokens = 0;
    int32_t n_outputs = 0;                        ///< rows that survive the last block's cut
    const int32_t * tokens = nullptr;             ///< [n_tokens], null where embeddings are fed
    const int32_t * positions = nullptr;          ///< [n_tokens]
    const int32_t * const * sequences = nullptr;  ///< [n_tokens][>= 1]
    const int8_t * outputs = nullptr;             ///< [n_tokens], non-zero where logits are asked for

    /// Sequence of row `i`. A token shared by several sequences belongs to the first.
    int32_t sequence(int32_t i) const { return sequences[i][0]; }
    /// Whether row `i` is an output row (all are, where as many outputs as tokens are asked for).
    bool is_output(int32_t i) const { return n_outputs == n_tokens || (outputs != nullptr && outputs[i] != 0); }
};

/// A graph upstream has just built, before its memory is allocated.
struct built_graph {
    ggml_context * context = nullptr;  ///< owns the metadata of the graph's tensors; new nodes go here
    ggml_cgraph * graph = nullptr;
    const void * model = nullptr;  ///< opaque, for the two below
    bool (*layer_on_host)(const void * model, int layer) = nullptr;
    ggml_backend_buffer_type * (*layer_memory)(const void * model, int layer) = nullptr;  ///< of the layer's device
    micro_batch batch;
};

/// What lives as long as one built graph: fills its inputs for every micro-batch and says whether it can serve the
/// next.
class graph_inputs {
public:
    virtual ~graph_inputs() = default;
    /// Called before every computation of the graph.
    virtual void set(const micro_batch & batch) = 0;
    /// True if the graph as built also serves `batch`. Must depend on the shape of the instrumentation only, never on
    /// its numbers.
    virtual bool reusable(const micro_batch & batch) const = 0;
};

/// One per context; called on the thread that decodes.
class graph_client {
public:
    virtual ~graph_client() = default;
    /// Adds taps and interventions to the graph. Must return an object also when idle: without one, upstream would go
    /// on reusing an uninstrumented graph after the instrumentation changed.
    virtual std::unique_ptr<graph_inputs> instrument(const built_graph & graph) = 0;
};

}  // namespace llama_steer
