#pragma once

#include "base/error.h"

#include <napi.h>

#include <exception>
#include <string>

namespace llama_steer {

/// A SteerError (the class that JavaScript registered) for a native failure; unknown exceptions become INTERNAL.
Napi::Value to_javascript(Napi::Env env, const std::exception_ptr & failure);

/// Runs the body of a binding method: native errors become thrown SteerErrors, nothing else crosses.
template <typename body>
auto guarded(Napi::Env env, body && run) -> decltype(run()) {
    try {
        return run();
    } catch (const Napi::Error &) {
        throw;
    } catch (...) {
        throw Napi::Error(env, to_javascript(env, std::current_exception()));
    }
}

[[noreturn]] inline void throw_invalid(const std::string & message) {
    throw error(error_code::INVALID_ARGUMENT, message);
}

}  // namespace llama_steer
