#pragma once

#include "base/error.h"

#include <exception>
#include <string>
#include <utility>

namespace llama_steer {

// What the engine rejects with where nothing was thrown.

/// What SCHEDULE_FAILED says.
inline constexpr const char * schedule_failed =
    "a schedule function threw or did not return a finite number; nothing of this step was kept for its sequence";

inline std::exception_ptr make_failure(error_code code, std::string message) {
    return std::make_exception_ptr(error(code, std::move(message)));
}
inline std::exception_ptr disposed() { return make_failure(error_code::DISPOSED, "the context was disposed"); }
inline std::exception_ptr aborted() { return make_failure(error_code::ABORTED, "the operation was aborted"); }

}  // namespace llama_steer
