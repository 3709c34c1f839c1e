#include "synthetic/model_shape.h"

#include "base/error.h"
#include "synthetic/vocabulary.h"

#include <algorithm>

namespace llama_steer::synthetic {

namespace {

void require(bool valid, const std::string & message) {
    if (!valid) {
        throw error(error_code::INVALID_ARGUMENT, message);
    }
}

void require_between(const char * name, int64_t value, int64_t low, int64_t high) {
    require(value >= low && value <= high, std::string(name) + " is " + std::to_string(value) + ", must be " +
                                               std::to_string(low) + " to " + std::to_string(high));
}

void derive(int64_t & size, int64_t value) { size = size == 0 ? value : size; }

std::string joined(const std::vector<std::string> & names) {
    std::string text;
    for (const std::string & name : names) {
        text += (text.empty() ? "" : ", ") + name;
    }
    return text;
}

void complete_attention(model_shape & shape) {
    require_between("heads", shape.heads, 1, 1024);
    derive(shape.kv_heads, shape.heads);
    require_between("kv-heads", shape.kv_heads, 1, shape.heads);
    require(shape.heads % shape.kv_heads == 0, std::to_string(shape.kv_heads) + " kv-heads do not divide " +
                                                   std::to_string(shape.heads) + " heads: choose a divisor");
    if (shape.head_size == 0 || shape.architecture == "phi3") {
        require(shape.hidden % shape.heads == 0,
                std::to_string(shape.heads) + " heads do not divide a hidden size of " + std::to_string(shape.hidden) +
                    ": choose a divisor, or give head-size (not with phi3)");
        derive(shape.head_size, shape.hidden / shape.heads);
    }
    require_between("head-size", shape.head_size, 2, 1024);
    require(shape.head_size % 2 == 0,
            "head-size is " + std::to_string(shape.head_size) + ", must be even: positions rotate pairs of elements");
    require(shape.architecture != "phi3" || shape.head_size * shape.heads == shape.hidden,
            "phi3 needs head-size times heads to be the hidden size");
}

void complete_experts(model_shape & shape) {
    require_between("experts", shape.experts, 2, 1024);
    require_between("experts-used", shape.experts_used, 1, shape.experts);
    derive(shape.expert_ffn, std::max<int64_t>(1, shape.ffn / shape.experts_used));
    require_between("expert-ffn", shape.expert_ffn, 1, 1 << 20);
}

void complete_recurrence(model_shape & shape) {
    derive(shape.full_attention_interval, shape.layers < 8 ? 2 : 4);
    require(shape.full_attention_interval >= 2 && shape.full_attention_interval <= shape.layers,
            "full-attention-interval is " + std::to_string(shape.full_attention_interval) +
                ", must be 2 to the number of layers (" + std::to_string(shape.layers) +
                "): a hybrid model has layers of both kinds");
    require(shape.head_size % 8 == 0, "head-size is " + std::to_string(shape.head_size) +
                                          ", must be a multiple of 8: a quarter of it is rotated");
    derive(shape.linear_head_size, shape.head_size);
    derive(shape.linear_key_heads, shape.kv_heads);
    derive(shape.linear_value_heads, shape.heads);
    require_between("linear-head-size", shape.linear_head_size, 1, 1024);
    require_between("linear-key-heads", shape.linear_key_heads, 1, 1024);
    require_between("linear-value-heads", shape.linear_value_heads, 1, 1024);
    require(shape.linear_value_heads % shape.linear_key_heads == 0,
            "linear-value-heads must be a multiple of linear-key-heads");
}

}  // namespace

const std::vector<std::string> & architecture_names() {
    static const std::vector<std::string> names{"llama", "qwen3", "qwen3moe", "gemma3", "phi3", "qwen3next"};
    return names;
}

model_shape completed(model_shape shape) {
    const std::vector<std::string> & names = architecture_names();
    require(std::find(names.begin(), names.end(), shape.architecture) != names.end(),
            "unknown architecture '" + shape.architecture + "': choose one of " + joined(names));
    require_between("layers", shape.layers, 1, 512);
    require_between("hidden", shape.hidden, 2, 1 << 16);
    require_between("ffn", shape.ffn, 1, 1 << 20);
    require_between("vocab", shape.vocabulary, smallest_vocabulary, 1 << 22);
    require_between("context", shape.context, 1, 1 << 24);
    complete_attention(shape);
    if (shape.architecture == "qwen3moe" || shape.architecture == "qwen3next") {
        complete_experts(shape);
    }
    if (shape.architecture == "gemma3") {
        derive(shape.sliding_window, std::max<int64_t>(1, shape.context / 32));
        derive(shape.sliding_pattern, shape.layers < 6 ? 2 : 6);
        require_between("sliding-window", shape.sliding_window, 1, 1 << 24);
        require_between("sliding-pattern", shape.sliding_pattern, 1, 512);
    }
    if (shape.architecture == "qwen3next") {
        complete_recurrence(shape);
    }
    return shape;
}

const char * weight_type_name(weight_type type) {
    static const char * const names[] = {"f32", "f16", "q8_0", "q4_0"};
    return names[static_cast<size_t>(type)];
}

weight_type parse_weight_type(const std::string & name) {
    for (const weight_type type : {weight_type::f32, weight_type::f16, weight_type::q8_0, weight_type::q4_0}) {
        if (name == weight_type_name(type)) {
            return type;
        }
    }
    throw error(error_code::INVALID_ARGUMENT, "unknown weight type '" + name + "': choose f32, f16, q8_0 or q4_0");
}

}  // namespace llama_steer::synthetic
