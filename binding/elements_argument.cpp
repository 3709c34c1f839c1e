#include "elements_argument.h"

namespace llama_steer {

elements_argument::elements_argument(const Napi::Value & value, const char * name,
                                     const std::function<void(const elements_argument &, size_t)> & may_copy) {
    const array_memory memory = array_argument(value, name, "a Float32Array, or a Uint16Array of half floats",
                                               {napi_float32_array, napi_uint16_array});
    type = memory.type == napi_float32_array ? element_type::f32 : element_type::f16;
    length = memory.length;
    data = static_cast<const std::byte *>(memory.data);
    const size_t bytes = memory.shared ? 0 : length * element_bytes(type);
    if (may_copy) {
        may_copy(*this, bytes);
    }
    if (!memory.shared) {
        copy_.assign(data, data + bytes);
        data = copy_.data();
    }
}

}  // namespace llama_steer
