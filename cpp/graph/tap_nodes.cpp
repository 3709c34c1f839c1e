#include "graph/tap_nodes.h"

#include "base/error.h"
#include "graph/block_sites.h"

#include <ggml-backend.h>
#include <ggml.h>

#include <string>

namespace llama_steer {

namespace {

/// ggml asks buffers to begin at a multiple of this; a caller's array may begin anywhere, so the buffer begins before
/// it.
constexpr uintptr_t buffer_alignment = 64;

/// Indices, reshape, gather, and copy or conversion of one layer.
constexpr int nodes_per_layer = 4;

ggml_backend_buffer_ptr buffer_over(const tap & target) {
    const capture_destination & destination = target.destination();
    const auto begin = reinterpret_cast<uintptr_t>(destination.data);
    const uintptr_t aligned = begin - begin % buffer_alignment;
    const size_t bytes = target.layers().size() * static_cast<size_t>(destination.capacity * destination.width) *
                         element_bytes(destination.type);
    return ggml_backend_buffer_ptr(
        ggml_backend_cpu_buffer_from_ptr(reinterpret_cast<void *>(aligned), begin - aligned + bytes));
}

bool only_shows(const ggml_tensor * view) {
    return view->op == GGML_OP_RESHAPE || view->op == GGML_OP_VIEW || view->op == GGML_OP_PERMUTE ||
           view->op == GGML_OP_TRANSPOSE;
}

/// The tensor whose memory can be moved to the destination so that the site's rows are there, as its readers see them:
/// memory of its own, not yet given to another tap, and changed by nobody but our steering. Null if there is none.
ggml_tensor * movable_owner(ggml_tensor * site, const ggml_tensor * read, const graph_editor & editor) {
    ggml_tensor * owner = whole_owner(site);
    if (owner == nullptr || owner->data != nullptr || owner->type != GGML_TYPE_F32 || owner->op == GGML_OP_NONE) {
        return nullptr;
    }
    if (read != site && read->view_src != owner) {
        return nullptr;
    }
    for (const ggml_tensor * view : editor.views_of(owner)) {
        if (view != read && !only_shows(view)) {
            return nullptr;
        }
    }
    return owner;
}

ggml_tensor * as_matrix(ggml_context * context, ggml_tensor * tensor, int64_t width, int64_t n_rows) {
    if (tensor->ne[0] == width && tensor->ne[1] == n_rows) {
        return tensor;
    }
    return ggml_is_contiguous(tensor) ? ggml_reshape_2d(context, tensor, width, n_rows)
                                      : ggml_cont_2d(context, tensor, width, n_rows);
}

/// A node of another shape would be written beyond its part of the destination.
void check_shape(const ggml_tensor * site, const tap & target, int layer, const micro_batch & batch) {
    const int64_t width = target.destination().width;
    const int64_t elements = site == nullptr ? -1 : ggml_nelements(site);
    if (site == nullptr || site->type != GGML_TYPE_F32 ||
        (elements != width * batch.n_tokens && elements != width * batch.n_outputs)) {
        throw error(error_code::SITE_UNKNOWN, target.request().site + " of layer " + std::to_string(layer) +
                                                  " has no rows of " + std::to_string(width) +
                                                  " floats, one for each token, in this pass: dispose its capture, and "
                                                  "capture a site that sites() lists");
    }
}

}  // namespace

tap_nodes::tap_nodes(std::shared_ptr<tap> target, const std::vector<ggml_tensor *> & sites, const built_graph & graph,
                     graph_editor & editor, const batch_layout & layout)
    : target_(std::move(target)), buffer_(buffer_over(*target_)) {
    built_for_.assign(*target_, graph.batch, layout);
    editor.require_room(nodes_per_layer * static_cast<int>(sites.size()));

    for (size_t slot = 0; slot < sites.size(); ++slot) {
        ggml_tensor * site = sites[slot];
        check_shape(site, *target_, target_->layers()[slot], graph.batch);
        const bool cut = ggml_nelements(site) / target_->destination().width != graph.batch.n_tokens;
        if (cut) {
            cut_slots_.push_back(slot);
        }
        if ((cut ? built_for_.cut : built_for_.full).empty()) {
            continue;
        }
        ggml_tensor * read = editor.read_instead_of(site);
        const bool on_host = graph.layer_on_host(graph.model, target_->layers()[slot]);
        ggml_tensor * owner = target_->takes_all() && on_host ? movable_owner(site, read, editor) : nullptr;
        if (owner != nullptr) {
            capture_in_place(owner, slot);
        } else {
            capture_copy(site, read, slot, graph, editor);
        }
    }
}

void tap_nodes::capture_in_place(ggml_tensor * owner, size_t slot) {
    // A backend may fuse a node with its only reader and then never write it, unless it is marked.
    ggml_set_output(owner);
    place(owner, slot, false);
}

void tap_nodes::capture_copy(ggml_tensor * site, ggml_tensor * read, size_t slot, const built_graph & graph,
                             graph_editor & editor) {
    ggml_context * context = graph.context;
    const int64_t width = target_->destination().width;
    const int64_t n_rows = ggml_nelements(site) / width;
    const bool all = target_->request().rows.selection().scope == token_scope::all && target_->request().sequence < 0;
    const bool on_host = graph.layer_on_host(graph.model, target_->layers()[slot]);
    const bool converts = target_->destination().type == element_type::f16;

    ggml_tensor * rows = read;
    if (!all) {
        ggml_tensor * matrix = as_matrix(context, read, width, n_rows);
        if (matrix != read) {
            editor.insert_after(site, matrix);
        }
        rows = ggml_get_rows(context, matrix, row_indices(graph, n_rows != graph.batch.n_tokens));
        if (on_host && !converts) {
            editor.insert_after(site, rows);
            place(rows, slot, true);
            return;
        }
        editor.insert_after(site, rows);
    }
    ggml_tensor * copy = converts ? ggml_cast(context, rows, GGML_TYPE_F16) : ggml_cont(context, rows);
    if (on_host) {
        editor.insert_after(site, copy);
    } else {
        editor.append(copy);
    }
    place(copy, slot, true);
}

ggml_tensor * tap_nodes::row_indices(const built_graph & graph, bool cut) {
    ggml_tensor *& indices = indices_[cut ? 1 : 0];
    if (indices == nullptr) {
        const size_t count = (cut ? built_for_.cut : built_for_.full).size();
        indices = ggml_new_tensor_1d(graph.context, GGML_TYPE_I32, static_cast<int64_t>(count));
        ggml_set_input(indices);
        ggml_set_name(indices, cut ? "steer_tap_output_rows" : "steer_tap_rows");
    }
    return indices;
}

void tap_nodes::place(ggml_tensor * tensor, size_t slot, bool copied) {
    tensor->buffer = buffer_.get();
    tensor->data = target_->row(slot, 0);
    placed_.push_back({tensor, slot, copied, {}});
}

void tap_nodes::finish(const graph_editor & editor) {
    for (placed & node : placed_) {
        node.views = editor.views_of(node.tensor);
    }
}

void tap_nodes::set(const micro_batch & batch, const batch_layout & layout) {
    rows_.assign(*target_, batch, layout);
    if (static_cast<int64_t>(target_->full_labels().size() + rows_.full.size()) > target_->destination().capacity) {
        throw error(error_code::INTERNAL, "a capture would hold more rows than was expected: nothing was written");
    }
    for (const size_t slot : cut_slots_) {
        target_->mark_cut(slot);
    }
    for (const placed & node : placed_) {
        move(node);
    }
    target_->append(rows_.full_labels, rows_.cut_labels);
    for (const bool cut : {false, true}) {
        if (indices_[cut] != nullptr) {
            const std::vector<int32_t> & rows = cut ? rows_.cut : rows_.full;
            ggml_backend_tensor_set(indices_[cut], rows.data(), 0, rows.size() * sizeof(int32_t));
        }
    }
}

void tap_nodes::move(const placed & node) {
    node.tensor->data = target_->row(node.slot, static_cast<int64_t>(target_->labels(node.slot).size()));
    for (ggml_tensor * view : node.views) {
        view->data = static_cast<char *>(node.tensor->data) + view->view_offs;
    }
    if (node.copied) {
        target_->count_copied(ggml_nbytes(node.tensor));
    }
}

bool tap_nodes::reusable(const micro_batch & batch, const batch_layout & layout) const {
    // Where all rows are taken, their number follows from the micro-batch, which upstream compares by itself.
    if (target_->takes_all()) {
        return true;
    }
    next_.assign(*target_, batch, layout);
    return next_.same_counts(built_for_);
}

}  // namespace llama_steer
