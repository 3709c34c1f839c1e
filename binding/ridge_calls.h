#pragma once

#include <napi.h>

namespace llama_steer {

/// solveRidge(options, onProgress?) -> { promise, cancel() }; options are those of ridge_arguments.h and `intercept`.
Napi::Value solve_ridge_call(const Napi::CallbackInfo & info);

/// ridgeBytes(rows, width, targets, options of ridge_options_argument) -> number
Napi::Value ridge_bytes_call(const Napi::CallbackInfo & info);

/// ridgeThreads(count | undefined) -> threads of the process's kernels, after they were set to `count` where it is
/// given; 0 restores the default.
Napi::Value ridge_threads_call(const Napi::CallbackInfo & info);

}  // namespace llama_steer
