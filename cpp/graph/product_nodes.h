#pragma once

#include "graph/graph_editor.h"
#include "graph/own_operators.h"

namespace llama_steer {

/// Gives the products of Q8_0 matrices with two rows of a batch or more our operator (matmul/q8_product.h), where the
/// processor can run it. What the rows are quantized to takes a node of its own, which all matrices that read them
/// share. After everything else that changes who reads what: the nodes inserted here are not re-pointed. Does nothing
/// where the graph has no room.
void replace_products(own_operators & ours, const built_graph & graph, graph_editor & editor);

}  // namespace llama_steer
