#pragma once

#include <cstdint>
#include <string>
#include <vector>

namespace llama_steer {

/// Which rows (tokens) of a site are captured.
enum class row_selection {
    all,   ///< every token, written in place by the layer itself. The last block computes output rows only.
    last,  ///< the last prompt token of each sequence (each token of an answer), gathered inside the graph
};

/// What a captured row is the activation of.
struct row_label {
    int32_t sequence;
    int32_t position;
    int32_t token;  ///< -1 where embeddings were fed
};

/// Memory that a capture is written to. Borrowed: the owner keeps it alive and unmoved until the tap is detached.
struct capture_destination {
    float * data = nullptr;  ///< [layers][capacity][width], float32, row-major
    int64_t capacity = 0;    ///< rows per layer
    int64_t width = 0;       ///< floats per row
};

/// A request to capture one site at some layers, and the labels of what it holds. The rows of a decode replace those of
/// the decode before. Used on the decoding thread; read by others only between decodes.
class tap {
public:
    tap(std::string node_name, std::vector<int> layers, row_selection selection, capture_destination destination);

    const std::string & node_name() const { return node_name_; }
    const std::vector<int> & layers() const { return layers_; }
    row_selection selection() const { return selection_; }
    const capture_destination & destination() const { return destination_; }

    /// Address of row `row` of the `slot`-th captured layer.
    float * row(size_t slot, int64_t row) const {
        return destination_.data + (static_cast<int64_t>(slot) * destination_.capacity + row) * destination_.width;
    }

    /// Labels of the rows that layer `slot` holds since the last decode.
    const std::vector<row_label> & labels(size_t slot) const { return cut_[slot] ? cut_labels_ : full_labels_; }

    const std::vector<row_label> & full_labels() const { return full_labels_; }
    const std::vector<row_label> & cut_labels() const { return cut_labels_; }

    /// Forgets the rows of the last decode.
    void begin_batch();
    /// Appends the labels of a micro-batch: of all selected rows, and of those that survive the last block's cut.
    void append(const std::vector<row_label> & full, const std::vector<row_label> & cut);
    /// Says that layer `slot` computes output rows only. Where all rows of a micro-batch are outputs that does not
    /// show, and does not matter: both lists then grow by the same labels. So it holds for the whole batch once it has
    /// shown.
    void mark_cut(size_t slot) { cut_[slot] = true; }
    bool is_cut(size_t slot) const { return cut_[slot]; }

private:
    std::string node_name_;
    std::vector<int> layers_;
    row_selection selection_;
    capture_destination destination_;
    std::vector<bool> cut_;
    std::vector<row_label> full_labels_;
    std::vector<row_label> cut_labels_;
};

}  // namespace llama_steer
