#pragma once

#include "model/model.h"
#include "steering/direction_set.h"

#include <napi.h>

#include <memory>

namespace llama_steer {

/// `NativeDirections`: vectors made ready for an operation in native memory, once for all sequences that steer with
/// them. Made by `NativeModel.createDirections(request)` only; see intervention_arguments.h.
class directions_wrap : public Napi::ObjectWrap<directions_wrap> {
public:
    static constexpr const char * class_name = "a steering vector of this model";
    static const napi_type_tag type_tag;

    static Napi::Function define(Napi::Env env);
    static Napi::Value create(const Napi::CallbackInfo & info, const model & source);

    explicit directions_wrap(const Napi::CallbackInfo & info);

    const std::shared_ptr<const direction_set> & get() const { return directions_; }

private:
    std::shared_ptr<const direction_set> directions_;
};

}  // namespace llama_steer
