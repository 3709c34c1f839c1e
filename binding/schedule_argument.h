#pragma once

#include "steering/schedule.h"

#include <napi.h>

namespace llama_steer {

/// { phases: [{ tokens: a selection, segments: Float64Array of five numbers each: begin, shape as in schedule_shape,
/// from, to, length }] }, as ts/schedule.ts compiles it. `name` is the public option's name, for the message. Throws
/// INVALID_ARGUMENT, NOT_FINITE, BUFFER_DETACHED.
schedule schedule_argument(const Napi::Value & value, const char * name);

/// scheduleValues(schedule, tokens: Int32Array, promptTokens, into: Float64Array): the strengths that a schedule gives
/// to the tokens of one sequence, of which the first `promptTokens` are its prompt. Returns `into`. For tests, and for
/// looking at a schedule without a model.
Napi::Value schedule_values(const Napi::CallbackInfo & info);

}  // namespace llama_steer
