#pragma once

#include "steering/intervention.h"

#include <napi.h>

#include <memory>

namespace llama_steer {

// From what the TypeScript layer says of interventions. All throw llama_steer::error.

/// { operation: number as in operation, normUnits: boolean, vectors, up?, bias? }, each of these an array of { data:
/// Float32Array [layers][width], layers: Int32Array, norms?: Float32Array [layers] }.
std::shared_ptr<const direction_set> directions_argument(const Napi::Value & value, int n_layers);

/// { site, directions, tokens: a selection, when?: a condition, preserveNorm, live, numbers }.
///
/// A condition: { rule: 0 compare, 1 all, 2 any, 3 not; parts?: [...]; site, layer, directions, measure, latch, above,
/// threshold }.
intervention_request intervention_argument(const Napi::Value & value);

/// { strength: a number or a compiled schedule, low?, high? }
intervention_numbers numbers_argument(const Napi::Value & value);

/// An array of NativeIntervention; null where it is empty.
std::shared_ptr<const steering_list> steering_argument(const Napi::Value & value);

}  // namespace llama_steer
