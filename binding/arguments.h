#pragma once

#include <napi.h>

#include <cstdint>
#include <initializer_list>
#include <string>
#include <vector>

namespace llama_steer {

// Checked access to what JavaScript passes. `name` is the public option's name, for the message. All throw
// llama_steer::error with INVALID_ARGUMENT unless said otherwise.

std::string string_argument(const Napi::Value & value, const char * name);
bool boolean_argument(const Napi::Value & value, const char * name);
/// A finite number.
double number_argument(const Napi::Value & value, const char * name);
/// A whole number within [low, high].
int64_t integer_argument(const Napi::Value & value, const char * name, int64_t low, int64_t high);
/// A JavaScript array.
Napi::Array list_argument(const Napi::Value & value, const char * name);
Napi::Object object_argument(const Napi::Value & value, const char * name);

/// `object[key]`, read by `read`, or `fallback` where it is undefined.
template <typename value_type, typename reader>
value_type optional_property(const Napi::Object & object, const char * key, value_type fallback, reader read) {
    const Napi::Value value = object.Get(key);
    return value.IsUndefined() ? fallback : static_cast<value_type>(read(value));
}

/// The elements of an Int32Array, copied.
std::vector<int32_t> int32_array_argument(const Napi::Value & value, const char * name);

/// The memory of a Float32Array, borrowed: its owner must be kept alive while it is used.
struct float_memory {
    float * data = nullptr;
    size_t length = 0;
};
/// Also throws BUFFER_DETACHED. Refuses resizable memory, which could shrink while a native thread writes to it.
float_memory float32_array_argument(const Napi::Value & value, const char * name);

/// The memory of a typed array of one of some element types, borrowed in the same way; errors as above. `expected`
/// names those types for the message.
struct array_memory {
    napi_typedarray_type type{};
    void * data = nullptr;
    size_t length = 0;    ///< in elements
    bool shared = false;  ///< of a SharedArrayBuffer: cannot be transferred away
};
array_memory array_argument(const Napi::Value & value, const char * name, const char * expected,
                            std::initializer_list<napi_typedarray_type> allowed);

/// The C++ object behind an instance of one of our classes. Throws INVALID_ARGUMENT for anything else, by type tag, so
/// that a wrong receiver or argument never reaches native memory.
template <typename wrapped>
wrapped * unwrap_argument(const Napi::Value & value, const char * name);

[[noreturn]] void throw_wrong_type(const char * name, const char * expected);

template <typename wrapped>
wrapped * unwrap_argument(const Napi::Value & value, const char * name) {
    if (!value.IsObject() || !value.As<Napi::Object>().CheckTypeTag(&wrapped::type_tag)) {
        throw_wrong_type(name, wrapped::class_name);
    }
    return wrapped::Unwrap(value.As<Napi::Object>());
}

}  // namespace llama_steer
