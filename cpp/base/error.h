// The one exception the core throws. The binding turns it into a SteerError of the same code; nothing else crosses it.
#pragma once

#include "error_codes.h"

#include <exception>
#include <string>

namespace llama_steer {

enum class error_code {
#define X(name, meaning) name,
    LLAMA_STEER_ERROR_CODES(X)
#undef X
};

/// The code's own name, e.g. "INVALID_ARGUMENT". Static storage.
const char * error_code_name(error_code code) noexcept;

/// The code's one-line meaning. Static storage.
const char * error_code_meaning(error_code code) noexcept;

/// what() is the message for people: it names the value that was wrong and what would be right.
class error : public std::exception {
public:
    error(error_code code, std::string message);

    error_code code() const noexcept { return code_; }
    const char * what() const noexcept override { return message_.c_str(); }

private:
    error_code code_;
    std::string message_;
};

}  // namespace llama_steer
