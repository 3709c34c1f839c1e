#include "graph/product_nodes.h"

#include "matmul/q8_kernel.h"
#include "matmul/q8_product.h"

#include <cstring>
#include <map>
#include <vector>

#include <ggml-backend.h>
#include <ggml.h>

namespace llama_steer {

namespace {

/// One row is bound by reading the matrix, not by computing.
constexpr int64_t min_columns = 2;

bool can_compute(const ggml_tensor * node) {
    const ggml_tensor * matrix = node->src[0];
    const ggml_tensor * rows = node->src[1];
    return node->op == GGML_OP_MUL_MAT && node->view_src == nullptr && matrix->type == GGML_TYPE_Q8_0 &&
           matrix->op == GGML_OP_NONE && matrix->buffer != nullptr && ggml_backend_buffer_is_host(matrix->buffer) &&
           ggml_is_contiguous(matrix) && ggml_is_matrix(matrix) && rows->type == GGML_TYPE_F32 &&
           ggml_is_matrix(rows) && rows->nb[0] == sizeof(float) && rows->ne[1] >= min_columns &&
           node->type == GGML_TYPE_F32 && ggml_is_contiguous(node);
}

ggml_tensor * quantized(ggml_tensor * rows, ggml_context * context) {
    ggml_tensor * made = ggml_custom_4d(context, GGML_TYPE_I8, q8_columns_bytes(rows->ne[0], rows->ne[1]), 1, 1, 1,
                                        &rows, 1, quantize_q8_columns, GGML_N_TASKS_MAX, nullptr);
    ggml_format_name(made, "%s quantized", ggml_get_name(rows));
    return made;
}

/// Gives a node our operator and quantized rows. Its result and name stay, and so does its place in the graph.
void take_over(ggml_tensor * node, ggml_tensor * rows, ggml_context * context, thread_scratch & scratch) {
    ggml_tensor * sources[] = {node->src[0], rows};
    const ggml_tensor * made = ggml_custom_4d(context, node->type, node->ne[0], node->ne[1], 1, 1, sources, 2,
                                              compute_q8_product, GGML_N_TASKS_MAX, &scratch);
    node->op = made->op;
    node->src[1] = rows;
    std::memcpy(node->op_params, made->op_params, sizeof node->op_params);
}

}  // namespace

void replace_products(own_operators & ours, const built_graph & graph, graph_editor & editor) {
    ours.products = 0;
    if (supported_q8_kernel() == nullptr || !ours.fit(graph)) {
        return;
    }
    std::vector<ggml_tensor *> nodes;
    for (ggml_tensor * node : editor.all()) {
        if (can_compute(node)) {
            nodes.push_back(node);
        }
    }
    // Twice: every product takes the header of a node as well, from which its operator is copied.
    if (!editor.has_room(2 * static_cast<int>(nodes.size()))) {
        return;
    }
    std::map<ggml_tensor *, ggml_tensor *> quantized_rows;
    for (ggml_tensor * node : nodes) {
        ggml_tensor * rows = node->src[1];
        ggml_tensor *& bytes = quantized_rows[rows];
        if (bytes == nullptr) {
            bytes = quantized(rows, graph.context);
            editor.insert_before(node, bytes);
        }
        take_over(node, bytes, graph.context, ours.scratch);
        ours.scratch.reserve(ours.threads, q8_product_scratch_bytes(rows->ne[0]));
        ++ours.products;
    }
}

}  // namespace llama_steer
