#include "steering/coefficients.h"

namespace llama_steer {

void coefficients::add_row(const steering_list * list, token_phase phase) {
    if (list != nullptr) {
        for (const steering_term & term : *list) {
            if (term.strength != 0.0F && scope_includes(term.scope, phase)) {
                terms_.push_back({term.directions.get(), term.strength});
            }
        }
    }
    begins_.push_back(terms_.size());
}

}  // namespace llama_steer
