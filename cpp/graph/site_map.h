#pragma once

#include "graph/block_sites.h"
#include "graph/graph_editor.h"

#include <cstdint>
#include <map>
#include <string>
#include <vector>

struct ggml_tensor;

namespace llama_steer {

/// What a model offers at one site of one layer.
struct site_shape {
    int64_t width = 0;  ///< elements in a row (of one token)
    int32_t heads = 0;  ///< of `attention_heads`: heads in a row; else 0
    int32_t order = 0;  ///< when it is computed: ascending in the order of the graph
};

/// Public names and raw node names -> layers -> shapes.
using site_table = std::map<std::string, std::map<int, site_shape>>;

/// The names that mean the same in every architecture: see block_sites.
const std::vector<std::string> & public_sites();

/// Finds the sites of one graph as upstream built it: to be asked before anything is inserted.
class site_map {
public:
    explicit site_map(const graph_editor & editor) : editor_(editor) {}

    /// The tensor of a public site, or the node `<site>-<layer>`; null where this graph has none.
    ggml_tensor * find(const std::string & site, int layer);

    /// All sites with rows of one token each, in a graph of `n_tokens` tokens, all of them outputs. `n_tokens` should
    /// be a number that no dimension of a model has, since rows are told by it.
    site_table shapes(int64_t n_tokens);

private:
    const block_sites & block(int layer);

    const graph_editor & editor_;
    std::map<int, block_sites> blocks_;
};

}  // namespace llama_steer
