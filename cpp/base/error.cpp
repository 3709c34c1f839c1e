#include "error.h"

#include <utility>

namespace llama_steer {

const char * error_code_name(error_code code) noexcept {
    switch (code) {
#define X(name, meaning)                                                                                               \
    case error_code::name:                                                                                             \
        return #name;
        LLAMA_STEER_ERROR_CODES(X)
#undef X
    }
    return "INTERNAL";
}

const char * error_code_meaning(error_code code) noexcept {
    switch (code) {
#define X(name, meaning)                                                                                               \
    case error_code::name:                                                                                             \
        return meaning;
        LLAMA_STEER_ERROR_CODES(X)
#undef X
    }
    return "";
}

error::error(error_code code, std::string message) : code_(code), message_(std::move(message)) {}

}  // namespace llama_steer
