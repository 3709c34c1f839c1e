#pragma once

#include "model/model.h"
#include "steering/intervention.h"

#include <napi.h>

#include <memory>

namespace llama_steer {

/// `NativeIntervention`: one intervention, checked against a model, for the list of one sequence. Made by
/// `NativeModel.createIntervention(request)` only; see intervention_arguments.h.
class intervention_wrap : public Napi::ObjectWrap<intervention_wrap> {
public:
    static constexpr const char * class_name = "an intervention";
    static const napi_type_tag type_tag;

    static Napi::Function define(Napi::Env env);
    static Napi::Value create(const Napi::CallbackInfo & info, const model & source);

    explicit intervention_wrap(const Napi::CallbackInfo & info);

    const std::shared_ptr<intervention> & get() const { return intervention_; }

private:
    Napi::Value id(const Napi::CallbackInfo & info);

    std::shared_ptr<intervention> intervention_;
};

}  // namespace llama_steer
