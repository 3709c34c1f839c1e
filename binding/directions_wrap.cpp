#include "directions_wrap.h"

#include "arguments.h"
#include "errors.h"
#include "instance.h"

namespace llama_steer {

const napi_type_tag directions_wrap::type_tag = {0x6c6c616d61737465, 0x65722e6469726563};

Napi::Function directions_wrap::define(Napi::Env env) { return DefineClass(env, "NativeDirections", {}); }

Napi::Value directions_wrap::create(const Napi::CallbackInfo & info, const model & source) {
    const float_memory memory = float32_array_argument(info[0], "data");
    const std::vector<int32_t> layers = int32_array_argument(info[1], "layers");
    const size_t width = layers.empty() ? 0 : memory.length / layers.size();
    if (width * layers.size() != memory.length) {
        throw error(error_code::WIDTH_MISMATCH, "data holds " + std::to_string(memory.length) +
                                                    " floats, which is no multiple of " +
                                                    std::to_string(layers.size()) + " layers");
    }
    auto made = std::make_shared<const direction_set>(memory.data, static_cast<int64_t>(width), layers,
                                                      source.info().n_layers, source.info().hidden_size);
    return instance::of(info.Env())
        .directions_class.New({Napi::External<std::shared_ptr<const direction_set>>::New(info.Env(), &made)});
}

directions_wrap::directions_wrap(const Napi::CallbackInfo & info) : ObjectWrap(info) {
    if (info.Length() != 1 || !info[0].IsExternal()) {
        throw Napi::TypeError::New(info.Env(), "directions are made by createDirections");
    }
    directions_ = *info[0].As<Napi::External<std::shared_ptr<const direction_set>>>().Data();
    info.This().As<Napi::Object>().TypeTag(&type_tag);
}

}  // namespace llama_steer
