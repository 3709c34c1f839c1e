#pragma once

#include "base/batch_layout.h"
#include "capture/tap.h"
#include "graph/seam.h"

#include <vector>

namespace llama_steer {

/// The rows of a micro-batch that a tap takes, twice: among all rows, and among the output rows that the last block
/// computes.
struct selected_rows {
    std::vector<int32_t> full;  ///< indices into the micro-batch's rows
    std::vector<int32_t> cut;   ///< indices into its output rows
    std::vector<row_label> full_labels;
    std::vector<row_label> cut_labels;

    void assign(const tap & target, const micro_batch & batch, const batch_layout & layout);

    /// Whether a graph that gathers these rows also serves for `other`.
    bool same_counts(const selected_rows & other) const {
        return full.size() == other.full.size() && cut.size() == other.cut.size();
    }
};

}  // namespace llama_steer
