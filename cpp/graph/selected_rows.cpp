#include "graph/selected_rows.h"

namespace llama_steer {

void selected_rows::assign(const tap & target, const micro_batch & batch, const batch_layout & layout) {
    full.clear();
    cut.clear();
    full_labels.clear();
    cut_labels.clear();

    int32_t output_row = 0;
    for (int32_t i = 0; i < batch.n_tokens; ++i) {
        const bool output = batch.is_output(i);
        const row_label label{batch.sequence(i), batch.positions[i], batch.tokens != nullptr ? batch.tokens[i] : -1};
        if (target.selects(layout, label.sequence, label.position, output)) {
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

}  // namespace llama_steer
