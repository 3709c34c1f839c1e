#pragma once

#include <napi.h>

namespace llama_steer {

/// fitDirections(options, onProgress?) -> { promise, cancel() }; see ts/fit-direction.ts for the options.
Napi::Value fit_directions(const Napi::CallbackInfo & info);

/// ridgeBackend() -> string
Napi::Value ridge_backend(const Napi::CallbackInfo & info);

}  // namespace llama_steer
