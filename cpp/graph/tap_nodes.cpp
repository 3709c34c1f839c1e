#include "graph/tap_nodes.h"

#include "base/error.h"

#include <ggml-backend.h>
#include <ggml.h>

#include <string>
#include <utility>

namespace llama_steer {

namespace {

/// ggml asks buffers to begin at a multiple of this; a caller's array may begin anywhere, so the buffer begins before
/// it.
constexpr uintptr_t buffer_alignment = 64;

ggml_backend_buffer_ptr buffer_over(const tap & target) {
    const capture_destination & destination = target.destination();
    const auto begin = reinterpret_cast<uintptr_t>(destination.data);
    const uintptr_t aligned = begin - begin % buffer_alignment;
    const size_t bytes =
        target.layers().size() * static_cast<size_t>(destination.capacity * destination.width) * sizeof(float);
    return ggml_backend_buffer_ptr(
        ggml_backend_cpu_buffer_from_ptr(reinterpret_cast<void *>(aligned), begin - aligned + bytes));
}

/// A node whose memory is its own and not yet given to another tap.
bool is_movable(const ggml_tensor * tensor) {
    return tensor->view_src == nullptr && tensor->data == nullptr && tensor->type == GGML_TYPE_F32 &&
           ggml_is_contiguous(tensor);
}

bool shares_memory(const ggml_tensor * read, const ggml_tensor * site) {
    return read == site || read->view_src == site;
}

/// A node of another shape would be written beyond its part of the destination.
void check_shape(const ggml_tensor * site, const tap & target, const built_graph & graph) {
    if (!has_token_rows(site, graph.batch) || site->ne[0] != target.destination().width) {
        throw error(error_code::SITE_UNKNOWN,
                    std::string(ggml_get_name(site)) + " has no rows of " + std::to_string(target.destination().width) +
                        " floats, one for each token: detach its capture, and capture a site that sites() lists");
    }
}

}  // namespace

tap_nodes::tap_nodes(std::shared_ptr<tap> target, const built_graph & graph, graph_editor & editor,
                     const batch_layout & layout)
    : target_(std::move(target)), buffer_(buffer_over(*target_)) {
    rows_.assign(target_->selection(), graph.batch, layout);
    n_full_ = rows_.full.size();
    n_cut_ = rows_.cut.size();

    for (size_t slot = 0; slot < target_->layers().size(); ++slot) {
        const int layer = target_->layers()[slot];
        ggml_tensor * site = editor.find(target_->node_name(), layer);
        if (site == nullptr) {
            continue;
        }
        check_shape(site, *target_, graph);
        ggml_tensor * read = editor.read_instead_of(site);
        const bool cut = site->ne[1] != graph.batch.n_tokens;
        if (cut) {
            cut_slots_.push_back(slot);
        }
        if ((cut ? n_cut_ : n_full_) == 0) {
            continue;
        }

        if (target_->selection() == row_selection::last) {
            ggml_tensor * rows = ggml_get_rows(graph.context, read, row_indices(graph, cut));
            editor.insert_after(site, rows);
            place(rows, slot);
        } else if (shares_memory(read, site) && is_movable(site) && graph.layer_on_host(graph.model, layer)) {
            // A backend may fuse a node into its only reader and never write it, unless it is an output.
            ggml_set_output(site);
            place(site, slot);
        } else {
            ggml_tensor * copy = ggml_cont(graph.context, read);
            editor.insert_after(site, copy);
            place(copy, slot);
        }
    }
}

ggml_tensor * tap_nodes::row_indices(const built_graph & graph, bool cut) {
    ggml_tensor *& indices = indices_[cut ? 1 : 0];
    if (indices == nullptr) {
        indices = ggml_new_tensor_1d(graph.context, GGML_TYPE_I32, static_cast<int64_t>(cut ? n_cut_ : n_full_));
        ggml_set_input(indices);
        ggml_set_name(indices, cut ? "steer_tap_output_rows" : "steer_tap_rows");
    }
    return indices;
}

void tap_nodes::place(ggml_tensor * tensor, size_t slot) {
    tensor->buffer = buffer_.get();
    tensor->data = target_->row(slot, 0);
    placed_.push_back({tensor, slot, {}});
}

void tap_nodes::finish(const graph_editor & editor) {
    for (placed & node : placed_) {
        node.views = editor.views_of(node.tensor);
    }
}

void tap_nodes::set(const micro_batch & batch, const batch_layout & layout) {
    for (const size_t slot : cut_slots_) {
        target_->mark_cut(slot);
    }
    for (placed & node : placed_) {
        move(node);
    }
    rows_.assign(target_->selection(), batch, layout);
    target_->append(rows_.full_labels, rows_.cut_labels);
    for (const bool cut : {false, true}) {
        if (indices_[cut] != nullptr) {
            const std::vector<int32_t> & rows = cut ? rows_.cut : rows_.full;
            ggml_backend_tensor_set(indices_[cut], rows.data(), 0, rows.size() * sizeof(int32_t));
        }
    }
}

void tap_nodes::move(placed & node) {
    node.tensor->data = target_->row(node.slot, static_cast<int64_t>(target_->labels(node.slot).size()));
    for (ggml_tensor * view : node.views) {
        view->data = static_cast<char *>(node.tensor->data) + view->view_offs;
    }
}

bool tap_nodes::reusable(const micro_batch & batch, const batch_layout & layout) const {
    // Where all rows are taken, their number follows from the micro-batch, which upstream compares by itself.
    return target_->selection() == row_selection::all ||
           count_last_rows(batch, layout) == std::make_pair(n_full_, n_cut_);
}

}  // namespace llama_steer
