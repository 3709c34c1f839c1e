#pragma once

#include "arguments.h"
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

/// Calls onProgress(fraction), the first object that the pending promise of `id` keeps, on the JavaScript thread; does
/// nothing where none was given. Any thread.
inline void report_progress(instance & self, dispatcher::ticket id, double fraction) {
    self.events.post([&self, id, fraction](Napi::Env env) {
        const Napi::Value report = self.events.kept(env, id, 0);
        if (report.IsFunction()) {
            report.As<Napi::Function>().Call({Napi::Number::New(env, fraction)});
        }
    });
}

/// Refuses what is neither undefined nor a function.
inline void check_progress(const Napi::Value & report) {
    if (!report.IsUndefined() && !report.IsFunction()) {
        throw_wrong_type("onProgress", "a function");
    }
}

}  // namespace llama_steer
