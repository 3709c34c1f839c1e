#include "graph/graph_editor.h"

#include "base/error.h"
#include "graph/site_name.h"

#include <algorithm>

#include <ggml.h>

namespace llama_steer {

graph_editor::graph_editor(const built_graph & graph) : context_(graph.context), graph_(graph.graph) {
    const int count = ggml_graph_n_nodes(graph_);
    nodes_.reserve(count);
    for (int i = 0; i < count; ++i) {
        ggml_tensor * node = ggml_graph_node(graph_, i);
        nodes_.push_back(node);
        const site_name site = parse_site_name(ggml_get_name(node));
        if (site.layer >= 0) {
            named_[site.name][site.layer] = node;
            first_of_layer_.emplace(site.layer, node);
        }
    }
}

ggml_tensor * graph_editor::find(const std::string & name, int layer) const {
    const auto found = named_.find(name);
    if (found == named_.end()) {
        return nullptr;
    }
    const auto node = found->second.find(layer);
    return node == found->second.end() ? nullptr : node->second;
}

ggml_tensor * graph_editor::first_of_layer(int layer) const {
    const auto found = first_of_layer_.find(layer);
    return found == first_of_layer_.end() ? nullptr : found->second;
}

int32_t graph_editor::index_of(const ggml_tensor * tensor) const {
    const auto found = std::find(nodes_.begin(), nodes_.end(), tensor);
    return found == nodes_.end() ? -1 : static_cast<int32_t>(found - nodes_.begin());
}

bool graph_editor::has_room(int count) const {
    size_t needed = nodes_.size() + appended_.size() + static_cast<size_t>(count);
    for (const auto * insertions : {&insertions_before_, &insertions_}) {
        for (const auto & [anchor, inserted] : *insertions) {
            needed += inserted.size();
        }
    }
    // A node takes a tensor's header; half as much again covers alignment.
    const size_t bytes = static_cast<size_t>(count) * (ggml_tensor_overhead() * 3 / 2);
    return needed <= static_cast<size_t>(ggml_graph_size(graph_)) &&
           ggml_used_mem(context_) + bytes <= ggml_get_mem_size(context_);
}

void graph_editor::require_room(int count) const {
    if (!has_room(count)) {
        throw error(error_code::OUT_OF_MEMORY,
                    "the model's graph has no room for so many captures and interventions: capture fewer sites or "
                    "layers at once");
    }
}

void graph_editor::replace(ggml_tensor * tensor, ggml_tensor * to) {
    ggml_tensor * const from = read_instead_of(tensor);
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
    replacements_[tensor] = to;
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
    for (ggml_tensor * node : appended_) {
        collect(node);
    }
    return views;
}

void graph_editor::commit() {
    if (insertions_.empty() && insertions_before_.empty() && appended_.empty()) {
        return;
    }
    // Expanding marks a node and all it reads as "to be computed"; upstream leaves the branches it did not choose
    // unmarked, so those marks are put back.
    std::vector<int32_t> flags;
    flags.reserve(nodes_.size());
    for (const ggml_tensor * node : nodes_) {
        flags.push_back(node->flags);
    }

    const auto expand = [&](const std::map<ggml_tensor *, std::vector<ggml_tensor *>> & insertions,
                            ggml_tensor * anchor) {
        const auto inserted = insertions.find(anchor);
        if (inserted != insertions.end()) {
            for (ggml_tensor * addition : inserted->second) {
                ggml_build_forward_expand(graph_, addition);
            }
        }
    };
    ggml_graph_clear(graph_);
    for (ggml_tensor * node : nodes_) {
        expand(insertions_before_, node);
        ggml_build_forward_expand(graph_, node);
        expand(insertions_, node);
    }
    for (ggml_tensor * node : appended_) {
        ggml_build_forward_expand(graph_, node);
    }

    for (size_t i = 0; i < nodes_.size(); ++i) {
        nodes_[i]->flags = flags[i];
    }
}

}  // namespace llama_steer
