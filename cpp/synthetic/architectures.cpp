#include "synthetic/architectures.h"

#include <cmath>

#include <gguf.h>

namespace llama_steer::synthetic {

namespace {

constexpr int64_t convolution_length = 4;

/// Sets the keys `<architecture>.<name>`.
class hyperparameters {
public:
    hyperparameters(gguf_context * file, const std::string & architecture) : file_(file), prefix_(architecture + ".") {}

    void set(const char * name, int64_t value) {
        gguf_set_val_u32(file_, (prefix_ + name).c_str(), static_cast<uint32_t>(value));
    }
    void set_real(const char * name, float value) { gguf_set_val_f32(file_, (prefix_ + name).c_str(), value); }

private:
    gguf_context * file_;
    std::string prefix_;
};

/// Collects tensors; names are those of the current layer while one is set.
class tensor_list {
public:
    void enter_layer(int64_t layer) { prefix_ = "blk." + std::to_string(layer) + "."; }
    void leave_layers() { prefix_.clear(); }

    void matrix(const std::string & name, std::vector<int64_t> shape) {
        const float deviation = 1.0F / std::sqrt(static_cast<float>(shape.front()));
        add(name, std::move(shape), 0, deviation, true);
    }
    void norm(const std::string & name, int64_t width) { plain(name, {width}, 1, 0.05F); }
    void plain(const std::string & name, std::vector<int64_t> shape, float mean, float deviation) {
        add(name, std::move(shape), mean, deviation, false);
    }
    void embedding(int64_t hidden, int64_t vocabulary, float deviation) {
        add("token_embd.weight", {hidden, vocabulary}, 0, deviation, true);
    }

    std::vector<tensor_spec> take() { return std::move(tensors_); }

private:
    void add(const std::string & name, std::vector<int64_t> shape, float mean, float deviation, bool weight) {
        tensors_.push_back({prefix_ + name, std::move(shape), mean, deviation, weight});
    }

    std::string prefix_;
    std::vector<tensor_spec> tensors_;
};

bool has_experts(const model_shape & shape) {
    return shape.architecture == "qwen3moe" || shape.architecture == "qwen3next";
}

bool is_recurrent(const model_shape & shape, int64_t layer) {
    return shape.architecture == "qwen3next" && (layer + 1) % shape.full_attention_interval != 0;
}

void add_attention(tensor_list & tensors, const model_shape & shape) {
    const int64_t queries = shape.heads * shape.head_size;
    const int64_t keys = shape.kv_heads * shape.head_size;
    // qwen3next computes a gate of the same width beside the queries.
    const int64_t projected = shape.architecture == "qwen3next" ? 2 * queries : queries;
    if (shape.architecture == "phi3") {
        tensors.matrix("attn_qkv.weight", {shape.hidden, queries + 2 * keys});
    } else {
        tensors.matrix("attn_q.weight", {shape.hidden, projected});
        tensors.matrix("attn_k.weight", {shape.hidden, keys});
        tensors.matrix("attn_v.weight", {shape.hidden, keys});
    }
    tensors.matrix("attn_output.weight", {queries, shape.hidden});
    if (shape.architecture != "llama" && shape.architecture != "phi3") {
        tensors.norm("attn_q_norm.weight", shape.head_size);
        tensors.norm("attn_k_norm.weight", shape.head_size);
    }
}

/// A gated delta net. Its state decays by exp(ssm_a * softplus(projection + ssm_dt)) at every token: by 2 to 30 %.
void add_recurrence(tensor_list & tensors, const model_shape & shape) {
    const int64_t keys = shape.linear_key_heads * shape.linear_head_size;
    const int64_t values = shape.linear_value_heads * shape.linear_head_size;
    tensors.matrix("attn_qkv.weight", {shape.hidden, 2 * keys + values});
    tensors.matrix("attn_gate.weight", {shape.hidden, values});
    tensors.plain("ssm_conv1d.weight", {convolution_length, 2 * keys + values}, 0, 0.5F);
    tensors.plain("ssm_dt.bias", {shape.linear_value_heads}, -4, 0.5F);
    tensors.plain("ssm_a", {shape.linear_value_heads}, -4, 1);
    tensors.matrix("ssm_ba.weight", {shape.hidden, 2 * shape.linear_value_heads});
    tensors.norm("ssm_norm.weight", shape.linear_head_size);
    tensors.matrix("ssm_out.weight", {values, shape.hidden});
}

void add_experts(tensor_list & tensors, const model_shape & shape) {
    const float small = 1.0F / std::sqrt(static_cast<float>(shape.hidden));
    tensors.plain("ffn_gate_inp.weight", {shape.hidden, shape.experts}, 0, small);
    tensors.matrix("ffn_gate_exps.weight", {shape.hidden, shape.expert_ffn, shape.experts});
    tensors.matrix("ffn_down_exps.weight", {shape.expert_ffn, shape.hidden, shape.experts});
    tensors.matrix("ffn_up_exps.weight", {shape.hidden, shape.expert_ffn, shape.experts});
    if (shape.architecture == "qwen3next") {
        tensors.plain("ffn_gate_inp_shexp.weight", {shape.hidden}, 0, small);
        tensors.matrix("ffn_gate_shexp.weight", {shape.hidden, shape.expert_ffn});
        tensors.matrix("ffn_up_shexp.weight", {shape.hidden, shape.expert_ffn});
        tensors.matrix("ffn_down_shexp.weight", {shape.expert_ffn, shape.hidden});
    }
}

void add_feed_forward(tensor_list & tensors, const model_shape & shape) {
    if (has_experts(shape)) {
        add_experts(tensors, shape);
    } else if (shape.architecture == "phi3") {
        tensors.matrix("ffn_up.weight", {shape.hidden, 2 * shape.ffn});
        tensors.matrix("ffn_down.weight", {shape.ffn, shape.hidden});
    } else {
        tensors.matrix("ffn_gate.weight", {shape.hidden, shape.ffn});
        tensors.matrix("ffn_up.weight", {shape.hidden, shape.ffn});
        tensors.matrix("ffn_down.weight", {shape.ffn, shape.hidden});
    }
}

void add_layer_norms(tensor_list & tensors, const model_shape & shape) {
    tensors.norm("attn_norm.weight", shape.hidden);
    if (shape.architecture == "gemma3" || shape.architecture == "qwen3next") {
        tensors.norm("post_attention_norm.weight", shape.hidden);
    }
    if (shape.architecture != "qwen3next") {
        tensors.norm("ffn_norm.weight", shape.hidden);
    }
    if (shape.architecture == "gemma3") {
        tensors.norm("post_ffw_norm.weight", shape.hidden);
    }
}

float rotation_base(const model_shape & shape) {
    if (shape.architecture == "llama" || shape.architecture == "phi3") {
        return 1e4F;
    }
    return shape.architecture == "qwen3next" ? 1e7F : 1e6F;
}

}  // namespace

void write_hyperparameters(gguf_context * file, const model_shape & shape) {
    hyperparameters keys(file, shape.architecture);
    keys.set("vocab_size", shape.vocabulary);
    keys.set("context_length", shape.context);
    keys.set("embedding_length", shape.hidden);
    keys.set("block_count", shape.layers);
    keys.set("feed_forward_length", shape.ffn);
    keys.set("attention.head_count", shape.heads);
    keys.set("attention.head_count_kv", shape.kv_heads);
    keys.set("attention.key_length", shape.head_size);
    keys.set("attention.value_length", shape.head_size);
    keys.set_real("attention.layer_norm_rms_epsilon", 1e-6F);
    keys.set("rope.dimension_count", shape.architecture == "qwen3next" ? shape.head_size / 4 : shape.head_size);
    keys.set_real("rope.freq_base", rotation_base(shape));
    if (has_experts(shape)) {
        keys.set("expert_count", shape.experts);
        keys.set("expert_used_count", shape.experts_used);
        keys.set("expert_feed_forward_length", shape.expert_ffn);
    }
    if (shape.architecture == "gemma3") {
        keys.set("attention.sliding_window", shape.sliding_window);
        keys.set("attention.sliding_window_pattern", shape.sliding_pattern);
    }
    if (shape.architecture == "qwen3next") {
        keys.set("expert_shared_feed_forward_length", shape.expert_ffn);
        keys.set("full_attention_interval", shape.full_attention_interval);
        keys.set("ssm.conv_kernel", convolution_length);
        keys.set("ssm.state_size", shape.linear_head_size);
        keys.set("ssm.group_count", shape.linear_key_heads);
        keys.set("ssm.time_step_rank", shape.linear_value_heads);
        keys.set("ssm.inner_size", shape.linear_value_heads * shape.linear_head_size);
    }
}

std::vector<tensor_spec> list_tensors(const model_shape & shape) {
    tensor_list tensors;
    // gemma3 multiplies embeddings by sqrt(hidden) and reads logits from the same matrix.
    const bool tied = shape.architecture == "gemma3";
    const float deviation = tied ? 1.0F / std::sqrt(static_cast<float>(shape.hidden)) : 1.0F;
    tensors.embedding(shape.hidden, shape.vocabulary, deviation);
    for (int64_t layer = 0; layer < shape.layers; ++layer) {
        tensors.enter_layer(layer);
        add_layer_norms(tensors, shape);
        if (is_recurrent(shape, layer)) {
            add_recurrence(tensors, shape);
        } else {
            add_attention(tensors, shape);
        }
        add_feed_forward(tensors, shape);
    }
    tensors.leave_layers();
    tensors.norm("output_norm.weight", shape.hidden);
    if (!tied) {
        tensors.matrix("output.weight", {shape.hidden, shape.vocabulary});
    }
    return tensors.take();
}

}  // namespace llama_steer::synthetic
