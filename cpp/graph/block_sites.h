#pragma once

#include <cstdint>

struct ggml_tensor;

namespace llama_steer {

/// The places in one transformer block, found by how the graph is built and not by what an architecture calls its
/// nodes. Null where the block has no such place.
///
///   residual_mid = block input  + attention_out
///   residual     = residual_mid + mlp_out
///
/// hold bit for bit. Blocks whose attention and MLP read the same input in parallel have no residual_mid.
struct block_sites {
    ggml_tensor * residual = nullptr;         ///< the block's output
    ggml_tensor * residual_mid = nullptr;     ///< the stream between attention and MLP
    ggml_tensor * attention_out = nullptr;    ///< what attention adds, after output projection, norms and scales
    ggml_tensor * mlp_out = nullptr;          ///< what the MLP (or the mixture of experts) adds
    ggml_tensor * attention_heads = nullptr;  ///< what the output projection reads: all heads, one after the other
    int32_t heads = 0;                        ///< heads in a row of attention_heads; 0 where that does not show
};

/// @param residual  the block's output
/// @param input     the residual of the block before; null for the first block
block_sites find_block_sites(ggml_tensor * residual, const ggml_tensor * input);

/// The tensor whose memory `tensor` shows whole and in order (itself, if it is no view), or null.
ggml_tensor * whole_owner(ggml_tensor * tensor);

}  // namespace llama_steer
