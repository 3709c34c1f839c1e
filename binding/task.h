#pragma once

#include "instance.h"

#include <napi.h>

namespace llama_steer {

/// What every cancellable native call returns: { promise, cancel() }.
inline Napi::Object make_task(Napi::Env env, dispatcher::ticket id, std::function<void()> cancel) {
    Napi::Object task = Napi::Object::New(env);
    task.Set("promise", instance::of(env).events.promise(id));
    task.Set("cancel",
             Napi::Function::New(env, [cancel = std::move(cancel)](const Napi::CallbackInfo &) { cancel(); }));
    return task;
}

}  // namespace llama_steer
