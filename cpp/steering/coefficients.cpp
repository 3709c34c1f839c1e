#include "steering/coefficients.h"

namespace llama_steer {

void coefficients::add_row(const steering_list * list, const batch_layout & layout, int32_t sequence, int32_t position,
                           bool output) {
    if (list != nullptr) {
        for (const steering_term & term : *list) {
            if (term.strength != 0.0F && term.tokens.selects(layout, sequence, position, output)) {
                terms_.push_back({term.directions.get(), term.strength});
            }
        }
    }
    begins_.push_back(terms_.size());
}

void coefficients::add_last_row_of(const coefficients & other) {
    terms_.insert(terms_.end(), other.begin(other.n_rows() - 1), other.end(other.n_rows() - 1));
    begins_.push_back(terms_.size());
}

}  // namespace llama_steer
