#pragma once

#include "steering/steering_list.h"

#include <cstdint>
#include <vector>

namespace llama_steer {

/// What is added to one row: coefficient * directions->layer(l), at every steered layer l.
struct active_term {
    const direction_set * directions;
    float coefficient;
};

/// The per-sequence steering lists compiled to per-row terms for one micro-batch. Rows without steering have no terms
/// and cost nothing.
class coefficients {
public:
    void clear() {
        begins_.assign(1, 0);
        terms_.clear();
    }

    /// Appends the next row, the token at `position` of `sequence`, steered by `list` (may be null).
    void add_row(const steering_list * list, const batch_layout & layout, int32_t sequence, int32_t position,
                 bool output);
    /// Appends the last row of `other`.
    void add_last_row_of(const coefficients & other);

    int64_t n_rows() const { return static_cast<int64_t>(begins_.size()) - 1; }
    const active_term * begin(int64_t row) const { return terms_.data() + begins_[row]; }
    const active_term * end(int64_t row) const { return terms_.data() + begins_[row + 1]; }

private:
    std::vector<size_t> begins_{0};
    std::vector<active_term> terms_;
};

}  // namespace llama_steer
