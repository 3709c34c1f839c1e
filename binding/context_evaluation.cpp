// Of NativeContext: evaluations, and the captures that they fill.

#include "arguments.h"
#include "context_wrap.h"
#include "errors.h"
#include "instance.h"
#include "labels.h"
#include "requests.h"
#include "task.h"

namespace llama_steer {

Napi::Value context_wrap::evaluate(const Napi::CallbackInfo & info) {
    const Napi::Env env = info.Env();
    return guarded(env, [&]() -> Napi::Value {
        evaluate_request request;
        request.entries = evaluate_entries(info[0], get().options().max_sequences);
        if (!info[1].IsUndefined()) {
            const float_memory memory = float32_array_argument(info[1], "into");
            // An empty array may have no memory at all; it is still too small, not absent.
            static float nowhere = 0;
            request.logits = memory.data != nullptr ? memory.data : &nowhere;
            request.logits_capacity = memory.length;
        }
        // The memory of every capture is checked again: it may have been transferred away since it was attached.
        dispatcher & events = instance::of(env).events;
        std::vector<Napi::Value> kept{info[1], info.This()};
        if (info[2].IsArray()) {
            const auto memories = info[2].As<Napi::Array>();
            for (uint32_t i = 0; i < memories.Length(); ++i) {
                array_argument(memories.Get(i), "the capture's memory", "a Float32Array or a Uint16Array",
                               {napi_float32_array, napi_uint16_array});
                kept.push_back(memories.Get(i));
            }
        }
        const bool held = boolean_argument(info[3], "held");
        const dispatcher::ticket id = events.begin(env, kept);
        const std::shared_ptr<link> back = link_;
        const operation_id operation = engine_->evaluate(
            std::move(request),
            [&events, id, back](evaluate_result && result, std::exception_ptr failure) {
                auto moved = std::make_shared<evaluate_result>(std::move(result));
                events.post([&events, id, back, moved, failure](Napi::Env current) {
                    if (failure) {
                        events.reject(current, id, failure);
                    } else if (back->self != nullptr) {
                        events.resolve(current, id, back->self->labels_to_javascript(current, *moved));
                    }
                });
            },
            held);
        const std::weak_ptr<engine> target = engine_;
        Napi::Object task = make_task(env, id, [target, operation] {
            if (const std::shared_ptr<engine> alive = target.lock()) {
                alive->cancel(operation);
            }
        });
        if (held) {
            task.Set("start", Napi::Function::New(env, [target, operation](const Napi::CallbackInfo &) {
                         if (const std::shared_ptr<engine> alive = target.lock()) {
                             alive->start(operation);
                         }
                     }));
        }
        return task;
    });
}

Napi::Value context_wrap::labels_to_javascript(Napi::Env env, const evaluate_result & result) const {
    Napi::Object value = Napi::Object::New(env);
    value.Set("logitsRows", static_cast<double>(result.logits_rows));
    Napi::Array captures = Napi::Array::New(env);
    for (const auto & [id, target] : taps_) {
        for (const capture_labels & labels : result.captures) {
            if (labels.target == target) {
                captures.Set(captures.Length(), labels_object(env, id, labels));
            }
        }
    }
    value.Set("captures", captures);
    return value;
}

Napi::Value context_wrap::attach(const Napi::CallbackInfo & info) {
    const Napi::Env env = info.Env();
    return guarded(env, [&]() -> Napi::Value {
        auto target = std::make_shared<tap>(capture_argument(info[0], get().source()));
        const int32_t tap_id = next_tap_++;
        taps_[tap_id] = target;
        // The memory is kept alive by the caller's object until detach settles. Nobody waits for attach: that the
        // context was disposed before it came to it must not become an unhandled rejection.
        dispatcher & events = instance::of(env).events;
        const dispatcher::ticket id = events.begin(env, {info.This(), info[0]});
        engine_->attach(target, [&events, id](const std::exception_ptr &) {
            events.post([&events, id](Napi::Env current) { events.resolve(current, id, current.Undefined()); });
        });
        return Napi::Number::New(env, tap_id);
    });
}

Napi::Value context_wrap::detach(const Napi::CallbackInfo & info) {
    const Napi::Env env = info.Env();
    return guarded(env, [&]() -> Napi::Value {
        const auto found = taps_.find(static_cast<int32_t>(integer_argument(info[0], "capture", 1, INT32_MAX)));
        const dispatcher::ticket id = instance::of(env).events.begin(env, {info.This(), info[1]});
        const Napi::Promise promise = instance::of(env).events.promise(id);
        if (!engine_ || found == taps_.end()) {
            instance::of(env).events.resolve(env, id, env.Undefined());
            return promise;
        }
        const std::shared_ptr<tap> target = found->second;
        taps_.erase(found);
        engine_->detach(target, settle(id, env));
        return promise;
    });
}

}  // namespace llama_steer
