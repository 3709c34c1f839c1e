#include "elements_argument.h"

namespace llama_steer {

namespace {

typed_memory elements_of(const Napi::Value & value, const char * name) {
    const typed_memory memory = typed_array_argument(value, name);
    if (memory.type != napi_float32_array && memory.type != napi_uint16_array) {
        throw_wrong_type(name, "a Float32Array, or a Uint16Array of half floats");
    }
    return memory;
}

}  // namespace

elements_argument::elements_argument(const Napi::Value & value, const char * name) {
    const typed_memory memory = elements_of(value, name);
    type = memory.type == napi_float32_array ? storage::element_type::f32 : storage::element_type::f16;
    length = memory.length;
    data = static_cast<const std::byte *>(memory.data);
    if (value.As<Napi::Object>().Get("buffer").IsArrayBuffer()) {
        copy_.assign(data, data + length * storage::element_bytes(type));
        data = copy_.data();
    }
}

}  // namespace llama_steer
