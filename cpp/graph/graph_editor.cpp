#include "graph/graph_editor.h"

#include "graph/site.h"

#include <ggml.h>

namespace llama_steer {

bool has_token_rows(const ggml_tensor * node, const micro_batch & batch) {
    return node->type == GGML_TYPE_F32 && node->ne[2] == 1 && node->ne[3] == 1 &&
           (node->ne[1] == batch.n_tokens || node->ne[1] == batch.n_outputs);
}

graph_editor::graph_editor(const built_graph & graph) : graph_(graph.graph), batch_(graph.batch) {
    const int count = ggml_graph_n_nodes(graph_);
    nodes_.reserve(count);
    for (int i = 0; i < count; ++i) {
        ggml_tensor * node = ggml_graph_node(graph_, i);
        nodes_.push_back(node);
        site_name site = parse_site_name(ggml_get_name(node));
        if (site.layer >= 0) {
            named_[{std::move(site.name), site.layer}] = node;
        }
    }
}

ggml_tensor * graph_editor::find(const std::string & name, int layer) const {
    const auto found = named_.find({name, layer});
    return found == named_.end() ? nullptr : found->second;
}

std::map<std::string, graph_editor::site_info> graph_editor::sites() const {
    std::map<std::string, site_info> sites;
    for (const auto & [key, node] : named_) {
        if (!has_token_rows(node, batch_)) {
            continue;
        }
        site_info & info = sites[key.first];
        info.width = info.width == 0 ? node->ne[0] : info.width;
        if (info.width == node->ne[0]) {
            info.layers.push_back(key.second);
        }
    }
    return sites;
}

void graph_editor::repoint_readers(ggml_tensor * from, ggml_tensor * to) {
    // A view's `view_src` is always the owner of the memory: only where `to` has memory of its own does it move there.
    const bool moved = to->view_src == nullptr;
    for (ggml_tensor * node : nodes_) {
        for (ggml_tensor *& source : node->src) {
            source = source == from ? to : source;
        }
        if (moved && node->view_src == from) {
            node->view_src = to;
        }
    }
    replacements_[from] = to;
}

ggml_tensor * graph_editor::read_instead_of(ggml_tensor * tensor) const {
    const auto found = replacements_.find(tensor);
    return found == replacements_.end() ? tensor : found->second;
}

void graph_editor::insert_after(ggml_tensor * anchor, ggml_tensor * node) { insertions_[anchor].push_back(node); }

std::vector<ggml_tensor *> graph_editor::views_of(const ggml_tensor * tensor) const {
    std::vector<ggml_tensor *> views;
    const auto collect = [&](ggml_tensor * node) {
        if (node->view_src == tensor) {
            views.push_back(node);
        }
    };
    for (ggml_tensor * node : nodes_) {
        collect(node);
    }
    for (const auto & [anchor, inserted] : insertions_) {
        for (ggml_tensor * node : inserted) {
            collect(node);
        }
    }
    return views;
}

void graph_editor::commit() {
    if (insertions_.empty()) {
        return;
    }
    // Expanding marks a node and all it reads as "to be computed"; upstream leaves the branches it did not choose
    // unmarked, so those marks are put back.
    std::vector<int32_t> flags;
    flags.reserve(nodes_.size());
    for (const ggml_tensor * node : nodes_) {
        flags.push_back(node->flags);
    }

    ggml_graph_clear(graph_);
    for (ggml_tensor * node : nodes_) {
        ggml_build_forward_expand(graph_, node);
        const auto inserted = insertions_.find(node);
        if (inserted != insertions_.end()) {
            for (ggml_tensor * addition : inserted->second) {
                ggml_build_forward_expand(graph_, addition);
            }
        }
    }

    for (size_t i = 0; i < nodes_.size(); ++i) {
        nodes_[i]->flags = flags[i];
    }
}

}  // namespace llama_steer
