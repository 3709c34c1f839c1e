#pragma once

#include <ggml-backend.h>
#include <llama-context.h>

namespace llama_steer::bench {

/// In how many pieces llama.cpp's scheduler cut the graph that `context` computed last: one for every change between
/// devices. Includes a header of llama.cpp's internals, since no public function tells.
inline int graph_pieces(const llama_context & context) { return ggml_backend_sched_get_n_splits(context.get_sched()); }

}  // namespace llama_steer::bench
