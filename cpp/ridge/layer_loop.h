// The same work for many layers: wide ones one after the other with the kernels on all threads, narrow ones side by
// side, each on one thread, while serial_kernels holds for the process.
#pragma once

#include "base/error.h"

#include <cstddef>
#include <functional>

namespace llama_steer::ridge {

/// How many layers of d x d work of this width to run side by side: 1 for wide ones.
std::size_t layer_workers(std::size_t layers, std::size_t width);

/// Runs body(layer, worker) for every layer, on `workers` threads; `worker`, below `workers`, tells whose scratch
/// memory is free. After a failure no further layer starts, and what the lowest failing layer threw is thrown on.
void for_each_layer(std::size_t layers, std::size_t workers,
                    const std::function<void(std::size_t layer, std::size_t worker)> & body);

/// The same error with "layer N: " before its message.
error in_layer(const error & e, std::size_t number);

}  // namespace llama_steer::ridge
