// How a long computation is watched and stopped.
#pragma once

#include <functional>

namespace llama_steer::ridge {

/// Asked now and then from the computing threads (so it must be callable from any, and cheap): true stops the work with
/// error ABORTED at the next step: a chunk of rows, or a whole factorization, which is not interrupted and whose time
/// grows with d^3. Empty: never.
using abort_check = std::function<bool()>;

/// Throws ABORTED if `aborted` is set and says so.
void stop_if(const abort_check & aborted);

}  // namespace llama_steer::ridge
