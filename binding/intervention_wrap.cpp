#include "intervention_wrap.h"

#include "arguments.h"
#include "errors.h"
#include "instance.h"
#include "intervention_arguments.h"
#include "model/steering_fit.h"

namespace llama_steer {

const napi_type_tag intervention_wrap::type_tag = {0x6c6c616d61737465, 0x65722e696e746572};

Napi::Function intervention_wrap::define(Napi::Env env) {
    return DefineClass(env, "NativeIntervention", {InstanceMethod<&intervention_wrap::id>("id")});
}

Napi::Value intervention_wrap::create(const Napi::CallbackInfo & info, const model & source) {
    auto made = std::make_shared<intervention>(intervention_argument(info[0]));
    check_fit(source, *made);
    return instance::of(info.Env())
        .intervention_class.New({Napi::External<std::shared_ptr<intervention>>::New(info.Env(), &made)});
}

intervention_wrap::intervention_wrap(const Napi::CallbackInfo & info) : ObjectWrap(info) {
    if (info.Length() != 1 || !info[0].IsExternal()) {
        throw Napi::TypeError::New(info.Env(), "interventions are made by createIntervention");
    }
    intervention_ = *info[0].As<Napi::External<std::shared_ptr<intervention>>>().Data();
    info.This().As<Napi::Object>().TypeTag(&type_tag);
}

Napi::Value intervention_wrap::id(const Napi::CallbackInfo & info) {
    return Napi::Number::New(info.Env(), static_cast<double>(intervention_->id()));
}

}  // namespace llama_steer
