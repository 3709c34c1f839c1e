#include "arguments.h"

#include "errors.h"

#include <algorithm>
#include <cmath>

namespace llama_steer {

namespace {

/// The typed array's own type, checked; then that its memory is there and stays.
napi_typedarray_type check_memory(const Napi::Value & value, const char * name) {
    napi_typedarray_type type{};
    napi_value buffer = nullptr;
    napi_get_typedarray_info(value.Env(), value, &type, nullptr, nullptr, &buffer, nullptr);
    bool detached = false;
    napi_is_detached_arraybuffer(value.Env(), buffer, &detached);
    if (detached) {
        throw error(error_code::BUFFER_DETACHED,
                    std::string(name) + " has lost its memory: its ArrayBuffer was transferred elsewhere");
    }
    const Napi::Value resizable = Napi::Object(value.Env(), buffer).Get("resizable");
    if (resizable.IsBoolean() && resizable.As<Napi::Boolean>().Value()) {
        throw_invalid(std::string(name) +
                      " lies on a resizable ArrayBuffer, which cannot be lent to native code: use one "
                      "of fixed size, or a SharedArrayBuffer");
    }
    return type;
}

}  // namespace

void throw_wrong_type(const char * name, const char * expected) {
    throw_invalid(std::string(name) + " must be " + expected);
}

std::string string_argument(const Napi::Value & value, const char * name) {
    if (!value.IsString()) {
        throw_wrong_type(name, "a string");
    }
    return value.As<Napi::String>().Utf8Value();
}

bool boolean_argument(const Napi::Value & value, const char * name) {
    if (!value.IsBoolean()) {
        throw_wrong_type(name, "true or false");
    }
    return value.As<Napi::Boolean>().Value();
}

double number_argument(const Napi::Value & value, const char * name) {
    if (!value.IsNumber()) {
        throw_wrong_type(name, "a number");
    }
    const double number = value.As<Napi::Number>().DoubleValue();
    if (!std::isfinite(number)) {
        throw error(error_code::NOT_FINITE, std::string(name) + " must be finite, not " + std::to_string(number));
    }
    return number;
}

int64_t integer_argument(const Napi::Value & value, const char * name, int64_t low, int64_t high) {
    const double number = value.IsNumber() ? value.As<Napi::Number>().DoubleValue() : std::nan("");
    if (!(number >= static_cast<double>(low) && number <= static_cast<double>(high)) || number != std::floor(number)) {
        throw_invalid(std::string(name) + " must be a whole number from " + std::to_string(low) + " to " +
                      std::to_string(high));
    }
    return static_cast<int64_t>(number);
}

Napi::Array list_argument(const Napi::Value & value, const char * name) {
    if (!value.IsArray()) {
        throw_wrong_type(name, "an array");
    }
    return value.As<Napi::Array>();
}

Napi::Object object_argument(const Napi::Value & value, const char * name) {
    if (!value.IsObject()) {
        throw_wrong_type(name, "an object");
    }
    return value.As<Napi::Object>();
}

std::vector<int32_t> int32_array_argument(const Napi::Value & value, const char * name) {
    if (!value.IsTypedArray() || check_memory(value, name) != napi_int32_array) {
        throw_wrong_type(name, "an Int32Array");
    }
    size_t length = 0;
    void * data = nullptr;
    napi_get_typedarray_info(value.Env(), value, nullptr, &length, &data, nullptr, nullptr);
    const auto * begin = static_cast<const int32_t *>(data);
    return length == 0 ? std::vector<int32_t>() : std::vector<int32_t>(begin, begin + length);
}

array_memory array_argument(const Napi::Value & value, const char * name, const char * expected,
                            std::initializer_list<napi_typedarray_type> allowed) {
    array_memory memory;
    napi_value buffer = nullptr;
    if (value.IsTypedArray()) {
        napi_get_typedarray_info(value.Env(), value, &memory.type, &memory.length, &memory.data, &buffer, nullptr);
    }
    if (buffer == nullptr || std::find(allowed.begin(), allowed.end(), memory.type) == allowed.end()) {
        throw_wrong_type(name, expected);
    }
    check_memory(value, name);
    memory.shared = !Napi::Value(value.Env(), buffer).IsArrayBuffer();
    return memory;
}

float_memory float32_array_argument(const Napi::Value & value, const char * name) {
    const array_memory memory = array_argument(value, name, "a Float32Array", {napi_float32_array});
    return {static_cast<float *>(memory.data), memory.length};
}

}  // namespace llama_steer
