#include "graph/block_sites.h"

#include <initializer_list>
#include <unordered_set>
#include <vector>

#include <ggml.h>

namespace llama_steer {

namespace {

bool is(const ggml_tensor * tensor, std::initializer_list<ggml_op> ops) {
    for (const ggml_op op : ops) {
        if (tensor != nullptr && tensor->op == op) {
            return true;
        }
    }
    return false;
}

/// What a tensor shows or picks rows of.
ggml_tensor * behind_views(ggml_tensor * tensor) {
    while (is(tensor, {GGML_OP_RESHAPE, GGML_OP_VIEW, GGML_OP_GET_ROWS, GGML_OP_CONT})) {
        tensor = tensor->src[0];
    }
    return tensor;
}

/// Whether `tensor` is computed from `source`. Looks no further back than `limit`.
bool depends_on(const ggml_tensor * tensor, const ggml_tensor * source, const ggml_tensor * limit) {
    std::vector<const ggml_tensor *> open{tensor};
    std::unordered_set<const ggml_tensor *> seen{limit};
    while (!open.empty()) {
        const ggml_tensor * each = open.back();
        open.pop_back();
        if (each == source) {
            return true;
        }
        if (!seen.insert(each).second) {
            continue;
        }
        for (const ggml_tensor * read : each->src) {
            if (read != nullptr) {
                open.push_back(read);
            }
        }
    }
    return false;
}

/// A sum of the residual stream and what is added to it: the term is computed from the stream.
struct residual_sum {
    ggml_tensor * stream = nullptr;
    ggml_tensor * term = nullptr;
};

residual_sum split_sum(ggml_tensor * sum, const ggml_tensor * input) {
    if (!is(sum, {GGML_OP_ADD})) {
        return {};
    }
    for (const int stream : {0, 1}) {
        ggml_tensor * from = behind_views(sum->src[stream]);
        const ggml_tensor * limit = from == input ? nullptr : input;
        if (!ggml_is_contiguous(sum->src[1 - stream]) || ggml_nelements(sum->src[1 - stream]) != ggml_nelements(sum)) {
            continue;
        }
        if (depends_on(sum->src[1 - stream], from, limit)) {
            return {sum->src[stream], sum->src[1 - stream]};
        }
    }
    return {};
}

/// The matrix product behind what attention adds: biases, norms, scales and row picks are passed over.
ggml_tensor * output_projection(ggml_tensor * term) {
    while (term != nullptr && !is(term, {GGML_OP_MUL_MAT})) {
        if (is(term, {GGML_OP_RESHAPE, GGML_OP_VIEW, GGML_OP_GET_ROWS, GGML_OP_CONT, GGML_OP_RMS_NORM, GGML_OP_NORM,
                      GGML_OP_SCALE})) {
            term = term->src[0];
        } else if (is(term, {GGML_OP_ADD, GGML_OP_MUL}) && is(term->src[1], {GGML_OP_NONE})) {
            term = term->src[0];
        } else {
            return nullptr;
        }
    }
    return term;
}

/// How many heads lie in a row of `width`: known from the tensor before heads and head size became one dimension.
int32_t count_heads(const ggml_tensor * row, int64_t width) {
    while (row != nullptr) {
        if (row->ne[0] < width) {
            return row->ne[0] * row->ne[1] == width ? static_cast<int32_t>(row->ne[1]) : 0;
        }
        if (!is(row, {GGML_OP_RESHAPE, GGML_OP_VIEW, GGML_OP_CONT, GGML_OP_MUL})) {
            return 0;
        }
        row = row->src[0];
    }
    return 0;
}

}  // namespace

block_sites find_block_sites(ggml_tensor * residual, const ggml_tensor * input) {
    block_sites sites;
    sites.residual = residual;
    const residual_sum mlp = split_sum(residual, input);
    if (mlp.stream == nullptr || mlp.stream == input) {
        return sites;
    }
    const residual_sum attention = split_sum(mlp.stream, input);
    if (attention.stream == nullptr || (input != nullptr && behind_views(attention.stream) != input)) {
        return sites;
    }
    sites.residual_mid = mlp.stream;
    sites.mlp_out = mlp.term;
    sites.attention_out = attention.term;
    if (ggml_tensor * projection = output_projection(attention.term)) {
        sites.attention_heads = projection->src[1];
        sites.heads = count_heads(sites.attention_heads, sites.attention_heads->ne[0]);
    }
    return sites;
}

ggml_tensor * whole_owner(ggml_tensor * tensor) {
    if (!ggml_is_contiguous(tensor)) {
        return nullptr;
    }
    if (tensor->view_src == nullptr) {
        return tensor;
    }
    const bool whole = tensor->view_offs == 0 && ggml_is_contiguous(tensor->view_src) &&
                       ggml_nbytes(tensor) == ggml_nbytes(tensor->view_src);
    return whole ? tensor->view_src : nullptr;
}

}  // namespace llama_steer
