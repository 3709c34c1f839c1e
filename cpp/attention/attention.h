#pragma once

#include "attention/visible_cells.h"
#include "base/thread_scratch.h"

#include <cstdint>

struct ggml_tensor;

namespace llama_steer {

/// What the operator needs besides its tensors. Lives as long as the graph.
struct attention_settings {
    const visible_cells * visible;
    thread_scratch * scratch;  ///< of attention_scratch_bytes for each thread
    float scale;               ///< of scores
    float softcap;             ///< scores become softcap * tanh(score / softcap); 0: they stay
};

/// Softmax(scale * Q K^T) V over the cells that each row sees, and over no others (arXiv 1805.02867 for the softmax in
/// one pass, arXiv 2205.14135 for keys and values in tiles). Sums are float32 whatever type the memory has, and what
/// becomes of a sequence's rows does not depend on other sequences in the batch or on the number of threads.
///
/// A function for ggml_custom_4d. Sources of `result` as ggml_flash_attn_ext has them: queries [key size, rows, heads,
/// streams] float32, keys [key size, cells, key heads, streams], values [value size, cells, key heads, streams], mask
/// (read before, by visible_cells), sinks [heads] or null. The result is [value size, heads, rows, streams] float32.
/// `userdata` is attention_settings.
void compute_attention(ggml_tensor * result, int thread, int threads, void * userdata);

/// Scratch that a thread needs for such a result.
int64_t attention_scratch_bytes(const ggml_tensor * result);

}  // namespace llama_steer
