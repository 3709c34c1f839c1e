#pragma once

#include "dispatcher.h"
#include "engine/engine.h"

#include <napi.h>

#include <map>
#include <memory>

namespace llama_steer {

/// `NativeContext`: an engine and its thread. Made by `NativeModel.createContext(options, onStep)` only. Methods that
/// start work return { promise, cancel() } or a promise (setSteering nothing); they run in call order.
class context_wrap : public Napi::ObjectWrap<context_wrap> {
public:
    static Napi::Function define(Napi::Env env);
    /// createContext({ sequences, contextSize?, batchSize?, promptBudget?, threads?, unifiedMemory? }, onStep, onLive)
    /// -> { promise, cancel() }
    static Napi::Value create(const Napi::CallbackInfo & info, const std::shared_ptr<const model> & source);

    explicit context_wrap(const Napi::CallbackInfo & info);
    ~context_wrap() override;

private:
    /// The way from the engine's callbacks to this object, cut when it dies.
    struct link {
        context_wrap * self = nullptr;
    };
    struct creation {
        std::shared_ptr<engine> made;
        std::shared_ptr<link> back;
        dispatcher::ticket ticket;  ///< keeps onStep and onLive
    };

    Napi::Value options(const Napi::CallbackInfo & info);
    Napi::Value sites(const Napi::CallbackInfo & info);
    Napi::Value position(const Napi::CallbackInfo & info);
    Napi::Value statistics(const Napi::CallbackInfo & info);
    Napi::Value evaluate(const Napi::CallbackInfo & info);
    Napi::Value generate(const Napi::CallbackInfo & info);
    Napi::Value start(const Napi::CallbackInfo & info);
    Napi::Value cancel(const Napi::CallbackInfo & info);
    Napi::Value set_steering(const Napi::CallbackInfo & info);
    Napi::Value set_numbers(const Napi::CallbackInfo & info);
    Napi::Value share_prefix(const Napi::CallbackInfo & info);
    Napi::Value truncate(const Napi::CallbackInfo & info);
    Napi::Value attach(const Napi::CallbackInfo & info);
    Napi::Value detach(const Napi::CallbackInfo & info);
    Napi::Value dispose(const Napi::CallbackInfo & info);

    engine & get() const;
    int32_t sequence_argument(const Napi::Value & value) const;
    operation_done settle(dispatcher::ticket id, Napi::Env env) const;
    void deliver(Napi::Env env, const step_events & events);
    Napi::Value labels_to_javascript(Napi::Env env, const evaluate_result & result) const;

    std::shared_ptr<engine> engine_;
    std::shared_ptr<link> link_;
    Napi::FunctionReference on_step_;
    Napi::FunctionReference on_live_;
    /// Running generations, each keeping this object and the event loop alive.
    std::map<operation_id, dispatcher::ticket> generations_;
    std::map<int32_t, std::shared_ptr<tap>> taps_;
    int32_t next_tap_ = 1;
};

}  // namespace llama_steer
