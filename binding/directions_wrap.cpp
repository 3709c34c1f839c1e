#include "directions_wrap.h"

#include "instance.h"
#include "intervention_arguments.h"

namespace llama_steer {

const napi_type_tag directions_wrap::type_tag = {0x6c6c616d61737465, 0x65722e6469726563};

Napi::Function directions_wrap::define(Napi::Env env) { return DefineClass(env, "NativeDirections", {}); }

Napi::Value directions_wrap::create(const Napi::CallbackInfo & info, const model & source) {
    std::shared_ptr<const direction_set> made = directions_argument(info[0], source.info().n_layers);
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
