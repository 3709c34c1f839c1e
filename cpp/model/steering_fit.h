#pragma once

#include "model/model.h"
#include "steering/intervention.h"

namespace llama_steer {

/// Checks that an intervention can be carried out in the graphs of a model: that its sites are there, its rows as wide
/// as its directions, and that conditions on single tokens are measured before they are needed. Throws SITE_UNKNOWN,
/// LAYER_OUT_OF_RANGE, WIDTH_MISMATCH, INVALID_ARGUMENT, OUT_OF_MEMORY (the sites cannot be looked up).
void check_fit(const model & source, const intervention & each);

}  // namespace llama_steer
