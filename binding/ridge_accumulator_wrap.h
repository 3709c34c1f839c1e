#pragma once

#include "background_queue.h"
#include "ridge/ridge_accumulator.h"

#include <napi.h>

#include <functional>
#include <memory>
#include <vector>

namespace llama_steer {

/// `NativeRidgeAccumulator`: a ridge accumulator and the queue of what is done with it. Made by
/// createRidgeAccumulator({ width, targetCount, memoryLimit }) only. `count`, `addMoments` and `merge` throw while
/// something runs.
class ridge_accumulator_wrap : public Napi::ObjectWrap<ridge_accumulator_wrap> {
public:
    static constexpr const char * class_name = "a RidgeAccumulator";
    static const napi_type_tag type_tag;

    static Napi::Function define(Napi::Env env);
    static Napi::Value create(const Napi::CallbackInfo & info);

    explicit ridge_accumulator_wrap(const Napi::CallbackInfo & info);
    /// Takes the bytes off the collector's account where it was not disposed.
    void Finalize(Napi::Env env) override;

private:
    using owned = std::shared_ptr<ridge::ridge_accumulator>;

    Napi::Value count(const Napi::CallbackInfo & info);
    Napi::Value add(const Napi::CallbackInfo & info);
    Napi::Value add_file(const Napi::CallbackInfo & info);
    Napi::Value add_moments(const Napi::CallbackInfo & info);
    Napi::Value merge(const Napi::CallbackInfo & info);
    Napi::Value solve(const Napi::CallbackInfo & info);
    Napi::Value dispose(const Napi::CallbackInfo & info);

    /// The accumulator; throws DISPOSED.
    const owned & get() const;
    /// The same where nothing works on it; throws INVALID_ARGUMENT.
    ridge::ridge_accumulator & idle() const;
    void release(Napi::Env env);

    /// Reports a fraction done; any thread.
    using reporter = std::function<void(double)>;
    using reported_work = std::function<void(const ridge::abort_check &, const reporter &)>;
    /// Queues `job`. `kept` stays until it has ended; onProgress, or undefined, comes first.
    Napi::Value push(Napi::Env env, const std::vector<Napi::Value> & kept, reported_work job,
                     background_queue::outcome result);

    owned accumulator_;
    std::shared_ptr<background_queue> queue_;
};

}  // namespace llama_steer
