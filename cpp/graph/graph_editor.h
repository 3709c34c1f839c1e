#pragma once

#include "graph/seam.h"

#include <map>
#include <string>
#include <vector>

struct ggml_context;
struct ggml_tensor;

namespace llama_steer {

/// Edits a compute graph that is built but not yet allocated: inserts nodes after others and re-points readers.
class graph_editor {
public:
    explicit graph_editor(const built_graph & graph);

    /// The node `<name>-<layer>`, or null. Where a graph uses a name twice in a layer, the later node is the site.
    ggml_tensor * find(const std::string & name, int layer) const;

    /// The place of a node in the order of computation; -1 where it is none of the graph's.
    int32_t index_of(const ggml_tensor * tensor) const;

    /// Every named node: name -> layer -> node.
    const std::map<std::string, std::map<int, ggml_tensor *>> & nodes() const { return named_; }

    /// Every node of the graph as upstream built it, in the order of computation.
    const std::vector<ggml_tensor *> & all() const { return nodes_; }

    /// Whether `count` more nodes fit into the graph, which upstream gave a fixed size.
    bool has_room(int count) const;
    /// Throws OUT_OF_MEMORY unless they do.
    void require_room(int count) const;

    /// Makes every node that reads `tensor` (or what took its place before), as operand or through a view, read `to`
    /// instead. `to` itself and nodes already inserted are left alone.
    void replace(ggml_tensor * tensor, ggml_tensor * to);

    /// What readers of `tensor` read now: its replacement, or itself.
    ggml_tensor * read_instead_of(ggml_tensor * tensor) const;

    /// Schedules `node` to run right after `anchor` (and after what was inserted there before).
    void insert_after(ggml_tensor * anchor, ggml_tensor * node);

    /// Schedules `node` to run right before `anchor` (and after what was inserted there before).
    void insert_before(ggml_tensor * anchor, ggml_tensor * node) { insertions_before_[anchor].push_back(node); }

    /// The first node named for `layer`, or null.
    ggml_tensor * first_of_layer(int layer) const;

    /// Schedules `node` to run after everything else.
    void append(ggml_tensor * node) { appended_.push_back(node); }

    /// Nodes of the graph that share the memory of `tensor` as views of it, inserted ones included.
    std::vector<ggml_tensor *> views_of(const ggml_tensor * tensor) const;

    /// Rebuilds the node order with the insertions. Does nothing where nothing was inserted.
    void commit();

private:
    ggml_context * context_;
    ggml_cgraph * graph_;
    std::vector<ggml_tensor *> nodes_;
    std::map<std::string, std::map<int, ggml_tensor *>> named_;
    std::map<int, ggml_tensor *> first_of_layer_;
    std::map<ggml_tensor *, std::vector<ggml_tensor *>> insertions_;
    std::map<ggml_tensor *, std::vector<ggml_tensor *>> insertions_before_;
    std::vector<ggml_tensor *> appended_;
    std::map<ggml_tensor *, ggml_tensor *> replacements_;
};

}  // namespace llama_steer
