#pragma once

#include "base/element_type.h"
#include "base/token_selection.h"

#include <cstdint>
#include <string>
#include <vector>

namespace llama_steer {

/// What a captured row is the activation of.
struct row_label {
    int32_t sequence;
    int32_t position;
    int32_t token;  ///< -1 where embeddings were fed
};

/// Memory that a capture is written to. Borrowed: the owner keeps it alive and unmoved until the tap is detached.
struct capture_destination {
    void * data = nullptr;  ///< [layers][capacity][width], row-major
    int64_t capacity = 0;   ///< rows per layer
    int64_t width = 0;      ///< elements per row
    element_type type = element_type::f32;
};

/// Which forward passes a tap records.
enum class tap_occasion : uint8_t {
    evaluation,  ///< its rows are replaced by every evaluation
    generation,  ///< rows of one sequence's answer, which add up until the tap is detached
};

struct tap_request {
    std::string site;         ///< a public name, or a raw node name
    std::vector<int> layers;  ///< ascending
    token_selector rows = token_scope::all;
    capture_destination destination;
    tap_occasion occasion = tap_occasion::evaluation;
    int32_t sequence = -1;  ///< rows of this one only; -1: of all
};

/// A request to capture one site at some layers, and the labels of what it holds. Used on the decoding thread; read by
/// others only between decodes.
class tap {
public:
    explicit tap(tap_request request);

    const tap_request & request() const { return request_; }
    const std::vector<int> & layers() const { return request_.layers; }
    const capture_destination & destination() const { return request_.destination; }

    /// Whether the token at `position` of `sequence`, which lies in the layout's batch, is captured.
    bool selects(const batch_layout & layout, int32_t sequence, int32_t position, bool output) const {
        return (request_.sequence < 0 || request_.sequence == sequence) &&
               request_.rows.selects(layout, sequence, position, output);
    }
    /// Whether every row of every micro-batch is captured as it is computed, so that the layer can write it in place.
    bool takes_all() const;
    /// Whether the selected rows have to be outputs, which are all that the last block computes: where rows are chosen,
    /// all layers hold the same.
    bool needs_outputs(int n_layers) const;

    /// Address of row `row` of the `slot`-th captured layer.
    char * row(size_t slot, int64_t row) const {
        const capture_destination & to = request_.destination;
        return static_cast<char *>(to.data) + (static_cast<int64_t>(slot) * to.capacity + row) * to.width *
                                                  static_cast<int64_t>(element_bytes(to.type));
    }

    /// Labels of the rows that layer `slot` holds.
    const std::vector<row_label> & labels(size_t slot) const { return cut_[slot] ? cut_labels_ : full_labels_; }

    const std::vector<row_label> & full_labels() const { return full_labels_; }
    const std::vector<row_label> & cut_labels() const { return cut_labels_; }

    /// Forgets all rows.
    void clear();
    /// Appends the labels of a micro-batch: of all selected rows, and of those that survive the last block's cut.
    void append(const std::vector<row_label> & full, const std::vector<row_label> & cut);
    /// Says that layer `slot` computes output rows only. Where all rows of a micro-batch are outputs that does not
    /// show, and does not matter: both lists then grow by the same labels. So it holds until the next `clear` once it
    /// has shown.
    void mark_cut(size_t slot) { cut_[slot] = true; }
    bool is_cut(size_t slot) const { return cut_[slot]; }

    /// Bytes that were copied to the destination because no layer could write them there itself.
    uint64_t bytes_copied() const { return bytes_copied_; }
    void count_copied(uint64_t bytes) { bytes_copied_ += bytes; }

private:
    tap_request request_;
    std::vector<bool> cut_;
    std::vector<row_label> full_labels_;
    std::vector<row_label> cut_labels_;
    uint64_t bytes_copied_ = 0;
};

}  // namespace llama_steer
