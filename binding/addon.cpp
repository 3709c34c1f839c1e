// The addon's entry point: one instance per environment, so that worker threads can load it too.

#include "arguments.h"
#include "base/half.h"
#include "capture_reader_wrap.h"
#include "capture_writer_wrap.h"
#include "context_wrap.h"
#include "directions_wrap.h"
#include "errors.h"
#include "fit.h"
#include "instance.h"
#include "intervention_wrap.h"
#include "model/backend.h"
#include "model_wrap.h"
#include "moments_wrap.h"
#include "ridge_accumulator_wrap.h"
#include "ridge_calls.h"
#include "row_measures_calls.h"
#include "schedule_argument.h"

#include <napi.h>

namespace {

using namespace llama_steer;

/// initialize(SteerError, directory): must be called first. `directory` is the addon's own, where a prebuilt package
/// has the loadable backends.
Napi::Value initialize(const Napi::CallbackInfo & info) {
    const Napi::Env env = info.Env();
    if (!info[0].IsFunction() || !info[1].IsString()) {
        throw Napi::TypeError::New(env, "initialize(SteerError, directory)");
    }
    instance & self = instance::of(env);
    self.error_class = Napi::Persistent(info[0].As<Napi::Function>());
#ifdef LLAMA_STEER_BACKEND_DL
    init_backend(info[1].As<Napi::String>().Utf8Value());
#else
    init_backend("");
#endif
    return env.Undefined();
}

/// shutdown(): to be called when the process is about to exit. Node runs no cleanup of the main thread's environment on
/// process.exit, and the C++ runtime would tear down what our threads still use.
Napi::Value shutdown(const Napi::CallbackInfo & info) {
    instance::of(info.Env()).stop_threads();
    return info.Env().Undefined();
}

/// halvesToFloats(Uint16Array, Float32Array of the same length)
Napi::Value halves_to_floats_call(const Napi::CallbackInfo & info) {
    return guarded(info.Env(), [&]() -> Napi::Value {
        const array_memory halves = array_argument(info[0], "halves", "a Uint16Array", {napi_uint16_array});
        const float_memory floats = float32_array_argument(info[1], "floats");
        if (halves.length != floats.length) {
            throw_invalid("halves and floats differ in length");
        }
        to_float(static_cast<const uint16_t *>(halves.data), halves.length, floats.data);
        return info.Env().Undefined();
    });
}

/// [[code, meaning]...], the table of errors.
Napi::Value error_codes(const Napi::CallbackInfo & info) {
    Napi::Array table = Napi::Array::New(info.Env());
    const auto add = [&](const char * name, const char * meaning) {
        Napi::Array row = Napi::Array::New(info.Env(), 2);
        row.Set(0U, name);
        row.Set(1U, meaning);
        table.Set(table.Length(), row);
    };
#define X(name, meaning) add(#name, meaning);
    LLAMA_STEER_ERROR_CODES(X)
#undef X
    return table;
}

Napi::Object initialize_addon(Napi::Env env, Napi::Object exports) {
    auto * self = new instance(env);
    env.SetInstanceData(self);
    self->model_class = Napi::Persistent(model_wrap::define(env));
    self->context_class = Napi::Persistent(context_wrap::define(env));
    self->directions_class = Napi::Persistent(directions_wrap::define(env));
    self->intervention_class = Napi::Persistent(intervention_wrap::define(env));
    self->moments_class = Napi::Persistent(moments_wrap::define(env));
    self->ridge_accumulator_class = Napi::Persistent(ridge_accumulator_wrap::define(env));
    self->capture_writer_class = Napi::Persistent(capture_writer_wrap::define(env));
    self->capture_reader_class = Napi::Persistent(capture_reader_wrap::define(env));

    exports.Set("initialize", Napi::Function::New(env, initialize));
    exports.Set("shutdown", Napi::Function::New(env, shutdown));
    exports.Set("errorCodes", Napi::Function::New(env, error_codes));
    exports.Set("loadModel", Napi::Function::New(env, model_wrap::load));
    exports.Set("openCaptureWriter", Napi::Function::New(env, capture_writer_wrap::open));
    exports.Set("openCaptureReader", Napi::Function::New(env, capture_reader_wrap::open));
    exports.Set("fitDirections", Napi::Function::New(env, fit_directions));
    exports.Set("halvesToFloats", Napi::Function::New(env, halves_to_floats_call));
    exports.Set("scheduleValues", Napi::Function::New(env, schedule_values));
    exports.Set("searchConditions", Napi::Function::New(env, search_conditions));
    exports.Set("meanNorms", Napi::Function::New(env, mean_norms));
    exports.Set("createMoments", Napi::Function::New(env, moments_wrap::create));
    exports.Set("momentsFromBytes", Napi::Function::New(env, moments_wrap::from_bytes));
    exports.Set("momentsBytes", Napi::Function::New(env, moments_wrap::bytes_needed));
    exports.Set("solveRidge", Napi::Function::New(env, solve_ridge_call));
    exports.Set("ridgeBytes", Napi::Function::New(env, ridge_bytes_call));
    exports.Set("createRidgeAccumulator", Napi::Function::New(env, ridge_accumulator_wrap::create));
    exports.Set("ridgeBackend", Napi::Function::New(env, ridge_backend));
    exports.Set("ridgeThreads", Napi::Function::New(env, ridge_threads_call));
    return exports;
}

}  // namespace

NODE_API_MODULE(llama_steer, initialize_addon)
