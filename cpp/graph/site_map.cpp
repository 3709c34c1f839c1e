#include "graph/site_map.h"

#include <utility>

#include <ggml.h>

namespace llama_steer {

namespace {

constexpr const char * residual_node = "l_out";

using place = ggml_tensor * block_sites::*;

const std::vector<std::pair<std::string, place>> & places() {
    static const std::vector<std::pair<std::string, place>> all = {
        {"residual", &block_sites::residual},
        {"residual_mid", &block_sites::residual_mid},
        {"attention_out", &block_sites::attention_out},
        {"mlp_out", &block_sites::mlp_out},
        {"attention_heads", &block_sites::attention_heads},
    };
    return all;
}

/// Elements of a row where the last dimensions of `tensor` count the tokens; 0 where they do not.
int64_t row_width(const ggml_tensor * tensor, int64_t n_tokens) {
    if (tensor->type != GGML_TYPE_F32) {
        return 0;
    }
    int64_t rows = 1;
    for (int dimension = GGML_MAX_DIMS - 1; dimension > 0; --dimension) {
        rows *= tensor->ne[dimension];
        if (rows == n_tokens) {
            return ggml_nelements(tensor) / n_tokens;
        }
    }
    return 0;
}

}  // namespace

const std::vector<std::string> & public_sites() {
    static const std::vector<std::string> names = [] {
        std::vector<std::string> result;
        for (const auto & [name, member] : places()) {
            result.push_back(name);
        }
        return result;
    }();
    return names;
}

const block_sites & site_map::block(int layer) {
    const auto known = blocks_.find(layer);
    if (known != blocks_.end()) {
        return known->second;
    }
    ggml_tensor * residual = editor_.find(residual_node, layer);
    return blocks_[layer] =
               residual == nullptr ? block_sites{} : find_block_sites(residual, editor_.find(residual_node, layer - 1));
}

ggml_tensor * site_map::find(const std::string & site, int layer) {
    for (const auto & [name, member] : places()) {
        if (name == site) {
            return block(layer).*member;
        }
    }
    return editor_.find(site, layer);
}

site_table site_map::shapes(int64_t n_tokens) {
    site_table table;
    const auto add = [&](const std::string & name, int layer, const ggml_tensor * tensor, int32_t heads) {
        const int64_t width = tensor == nullptr ? 0 : row_width(tensor, n_tokens);
        if (width > 0) {
            table[name][layer] = {width, heads, editor_.index_of(tensor)};
        }
    };
    for (const auto & [name, layers] : editor_.nodes()) {
        for (const auto & [layer, node] : layers) {
            add(name, layer, node, 0);
        }
    }
    const auto blocks = editor_.nodes().find(residual_node);
    if (blocks == editor_.nodes().end()) {
        return table;
    }
    for (const auto & [layer, node] : blocks->second) {
        for (const auto & [name, member] : places()) {
            const block_sites & found = block(layer);
            add(name, layer, found.*member, member == &block_sites::attention_heads ? found.heads : 0);
        }
    }
    return table;
}

}  // namespace llama_steer
