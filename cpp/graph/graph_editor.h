#pragma once

#include "graph/seam.h"

#include <map>
#include <string>
#include <utility>
#include <vector>

struct ggml_tensor;

namespace llama_steer {

/// Whether a node is a float32 matrix with a row for every token of the micro-batch, or for every output row. Others
/// (heads side by side, states, indices) have no rows that could be labelled.
bool has_token_rows(const ggml_tensor * node, const micro_batch & batch);

/// Edits a compute graph that is built but not yet allocated: inserts nodes after others and re-points readers.
class graph_editor {
public:
    explicit graph_editor(const built_graph & graph);

    /// The node `<name>-<layer>`, or null. Where a graph uses a name twice in a layer, the later node is the site.
    ggml_tensor * find(const std::string & name, int layer) const;

    /// Every named site with token rows: name -> layers that have it, and the row length (ne[0]) at the first of them;
    /// layers where it has another are left out.
    struct site_info {
        std::vector<int> layers;
        int64_t width = 0;
    };
    std::map<std::string, site_info> sites() const;

    /// Makes every node that reads `from`, as operand or through a view, read `to` instead. `to` itself and nodes
    /// already inserted are left alone.
    void repoint_readers(ggml_tensor * from, ggml_tensor * to);

    /// What readers of `tensor` read now: its replacement, or itself.
    ggml_tensor * read_instead_of(ggml_tensor * tensor) const;

    /// Schedules `node` to run right after `anchor` (and after what was inserted there before).
    void insert_after(ggml_tensor * anchor, ggml_tensor * node);

    /// Nodes of the graph that share the memory of `tensor` as views of it, inserted ones included.
    std::vector<ggml_tensor *> views_of(const ggml_tensor * tensor) const;

    /// Rebuilds the node order with the insertions. Does nothing where nothing was inserted.
    void commit();

private:
    ggml_cgraph * graph_;
    micro_batch batch_;
    std::vector<ggml_tensor *> nodes_;
    std::map<std::pair<std::string, int>, ggml_tensor *> named_;
    std::map<ggml_tensor *, std::vector<ggml_tensor *>> insertions_;
    std::map<ggml_tensor *, ggml_tensor *> replacements_;
};

}  // namespace llama_steer
