#include "graph/selected_rows.h"

namespace llama_steer {

void selected_rows::assign(row_selection selection, const micro_batch & batch, const batch_layout & layout) {
    full.clear();
    cut.clear();
    full_labels.clear();
    cut_labels.clear();

    int32_t output_row = 0;
    for (int32_t i = 0; i < batch.n_tokens; ++i) {
        const bool output = batch.is_output(i);
        const row_label label{batch.sequence(i), batch.positions[i], batch.tokens != nullptr ? batch.tokens[i] : -1};
        if (selection == row_selection::all || layout.is_last(label.sequence, label.position)) {
            full.push_back(i);
            full_labels.push_back(label);
            if (output) {
                cut.push_back(output_row);
                cut_labels.push_back(label);
            }
        }
        output_row += output ? 1 : 0;
    }
}

std::pair<size_t, size_t> count_last_rows(const micro_batch & batch, const batch_layout & layout) {
    std::pair<size_t, size_t> count{0, 0};
    for (int32_t i = 0; i < batch.n_tokens; ++i) {
        if (layout.is_last(batch.sequence(i), batch.positions[i])) {
            ++count.first;
            count.second += batch.is_output(i) ? 1 : 0;
        }
    }
    return count;
}

}  // namespace llama_steer
