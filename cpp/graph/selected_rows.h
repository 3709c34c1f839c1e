#pragma once

#include "base/batch_layout.h"
#include "capture/tap.h"
#include "graph/seam.h"

#include <utility>
#include <vector>

namespace llama_steer {

/// The rows of a micro-batch that a selection takes, twice: among all rows, and among the output rows that the last
/// block computes.
struct selected_rows {
    std::vector<int32_t> full;  ///< indices into the micro-batch's rows
    std::vector<int32_t> cut;   ///< indices into its output rows
    std::vector<row_label> full_labels;
    std::vector<row_label> cut_labels;

    void assign(row_selection selection, const micro_batch & batch, const batch_layout & layout);
};

/// How many rows `row_selection::last` takes: among all rows, and among the output rows.
std::pair<size_t, size_t> count_last_rows(const micro_batch & batch, const batch_layout & layout);

}  // namespace llama_steer
