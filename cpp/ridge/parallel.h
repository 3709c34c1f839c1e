// Fork and join without a pool: nothing outlives a call, so nothing has to be torn down when the process or a Node
// worker ends. A thread costs some 20 microseconds; callers split only what takes far longer.
#pragma once

#include <cstddef>
#include <functional>

namespace llama_steer::ridge {

/// Cores this process may use, at least 1.
std::size_t hardware_threads() noexcept;

/// Runs body(0) .. body(count - 1), one thread each, body(0) on the caller's. Where the system refuses a thread its
/// share runs on the caller's. The first exception by index is thrown on after all have ended.
void run_parallel(std::size_t count, const std::function<void(std::size_t)> & body);

}  // namespace llama_steer::ridge
