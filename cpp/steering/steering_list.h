#pragma once

#include "base/batch_layout.h"
#include "steering/direction_set.h"

#include <memory>
#include <vector>

namespace llama_steer {

/// On which tokens of a sequence a term acts.
enum class token_scope : uint8_t {
    all,
    prompt,                     ///< prompt tokens, the last included
    last_prompt,                ///< the last prompt token only
    generated,                  ///< tokens of the answer only
    last_prompt_and_generated,  ///< from the last prompt token on
};

bool scope_includes(token_scope scope, token_phase phase);

/// Adds strength * direction(layer) to the residual stream of every layer that the set has a direction for.
struct steering_term {
    std::shared_ptr<const direction_set> directions;
    float strength = 0.0F;
    token_scope scope = token_scope::all;
};

/// The interventions on one sequence, applied in order.
using steering_list = std::vector<steering_term>;

}  // namespace llama_steer
