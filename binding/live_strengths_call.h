#pragma once

#include "dispatcher.h"
#include "engine/live_strengths.h"

#include <napi.h>

#include <functional>

namespace llama_steer {

/// The way from an engine's thread to the function that knows live strengths and back: waits until the JavaScript
/// thread has called it. `call(env, requests)` runs there and returns one number for each request.
live_source make_live_source(
    dispatcher & events,
    std::function<std::vector<double>(Napi::Env env, const std::vector<live_request> & requests)> call);

/// Calls `function` with parallel arrays (intervention ids, sequences, steps, positions, generated, tokens), which
/// returns a Float64Array; anything else counts as failures.
std::vector<double> call_live_function(Napi::Env env, const Napi::Function & function,
                                       const std::vector<live_request> & requests);

}  // namespace llama_steer
