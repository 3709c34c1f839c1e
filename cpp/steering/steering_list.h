#pragma once

#include "base/token_selection.h"
#include "steering/direction_set.h"

#include <memory>
#include <vector>

namespace llama_steer {

/// Adds strength * direction(layer) to the residual stream of every layer that the set has a direction for.
struct steering_term {
    std::shared_ptr<const direction_set> directions;
    float strength = 0.0F;
    token_selector tokens = token_scope::all;
};

/// The interventions on one sequence, applied in order.
using steering_list = std::vector<steering_term>;

}  // namespace llama_steer
