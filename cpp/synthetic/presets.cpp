#include "synthetic/presets.h"

#include "base/error.h"

namespace llama_steer::synthetic {

namespace {

struct sizes {
    const char * name;
    int64_t layers, hidden, heads, kv_heads, head_size, ffn, vocabulary, context;
    int64_t experts, experts_used;
    weight_type type;
};

constexpr sizes presets[] = {
    {"tiny", 4, 64, 4, 2, 16, 128, 320, 1024, 4, 2, weight_type::f32},
    {"0.5b", 24, 1024, 16, 8, 64, 2816, 32000, 32768, 8, 2, weight_type::q4_0},
    {"1.5b", 28, 1536, 12, 2, 128, 8960, 151936, 32768, 8, 2, weight_type::q4_0},
    {"4b", 36, 2560, 32, 8, 128, 9728, 151936, 32768, 8, 2, weight_type::q4_0},
    {"8b", 36, 4096, 32, 8, 128, 12288, 151936, 32768, 8, 2, weight_type::q4_0},
};

}  // namespace

const std::vector<std::string> & preset_names() {
    static const std::vector<std::string> names = [] {
        std::vector<std::string> all;
        for (const sizes & each : presets) {
            all.emplace_back(each.name);
        }
        return all;
    }();
    return names;
}

model_shape preset(const std::string & name, const std::string & architecture) {
    std::string known;
    for (const sizes & each : presets) {
        if (name != each.name) {
            known += (known.empty() ? "" : ", ") + std::string(each.name);
            continue;
        }
        model_shape shape;
        shape.architecture = architecture;
        shape.layers = each.layers;
        shape.hidden = each.hidden;
        shape.heads = each.heads;
        shape.kv_heads = each.kv_heads;
        // Where it follows from the others, it also follows them when they are changed.
        shape.head_size = each.head_size * each.heads == each.hidden ? 0 : each.head_size;
        shape.ffn = each.ffn;
        shape.vocabulary = each.vocabulary;
        shape.context = each.context;
        shape.experts = each.experts;
        shape.experts_used = each.experts_used;
        shape.type = each.type;
        return shape;
    }
    throw error(error_code::INVALID_ARGUMENT, "unknown preset '" + name + "': choose one of " + known);
}

}  // namespace llama_steer::synthetic
