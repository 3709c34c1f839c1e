#pragma once

#include "base/error.h"

#include <functional>

namespace llama_steer::storage {

/// Asked now and then whether to stop; empty: never. Called on the thread that works.
using cancellation = std::function<bool()>;

/// Throws ABORTED where it says so.
inline void stop_if(const cancellation & cancelled) {
    if (cancelled && cancelled()) {
        throw error(error_code::ABORTED, "the operation was aborted");
    }
}

}  // namespace llama_steer::storage
