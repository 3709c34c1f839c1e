#pragma once

#include <cstdint>
#include <string>
#include <vector>

namespace llama_steer::synthetic {

/// Type of the weight matrices. Norms, biases and small tensors stay float32 in every file.
enum class weight_type : uint8_t { f32, f16, q8_0, q4_0 };

/// Everything that decides the bytes of a model file. Sizes count elements. A size of 0 is derived from the others by
/// `completed`; architectures ignore what they do not have.
struct model_shape {
    std::string architecture;  ///< one of `architecture_names`
    int64_t layers = 4;
    int64_t hidden = 64;       ///< width of the residual stream
    int64_t heads = 4;         ///< query heads
    int64_t kv_heads = 0;      ///< divides `heads`; 0: as many
    int64_t head_size = 0;     ///< 0: hidden / heads. phi3 has no other
    int64_t ffn = 128;         ///< width of the feed-forward network
    int64_t vocabulary = 320;  ///< tokens, at least `smallest_vocabulary`
    int64_t context = 1024;    ///< positions the model claims to be trained for

    // qwen3moe, qwen3next
    int64_t experts = 4;
    int64_t experts_used = 2;  ///< per token
    int64_t expert_ffn = 0;    ///< width of one expert, and of the shared one; 0: ffn / experts_used

    // gemma3
    int64_t sliding_window = 0;   ///< positions that a local layer sees; 0: context / 32
    int64_t sliding_pattern = 0;  ///< every n-th layer sees all; 0: 6, or 2 where there are fewer than 6 layers

    // qwen3next
    int64_t full_attention_interval = 0;  ///< every n-th layer has attention; 0: 4, or 2 with fewer than 8 layers
    int64_t linear_head_size = 0;         ///< of the recurrent layers, keys and values alike; 0: head_size
    int64_t linear_key_heads = 0;         ///< 0: kv_heads
    int64_t linear_value_heads = 0;       ///< a multiple of the key heads; 0: heads

    weight_type type = weight_type::f32;
    uint64_t seed = 1;
};

/// The architectures that can be made, by their names in GGUF files.
const std::vector<std::string> & architecture_names();

/// The shape with every derived size filled in. Throws INVALID_ARGUMENT where it contradicts itself or llama.cpp could
/// not load it.
model_shape completed(model_shape shape);

/// "f32", "f16", "q8_0", "q4_0". The reverse throws INVALID_ARGUMENT.
const char * weight_type_name(weight_type type);
weight_type parse_weight_type(const std::string & name);

}  // namespace llama_steer::synthetic
