// Of NativeContext: the interventions on its sequences, and the prefixes they share.

#include "arguments.h"
#include "context_wrap.h"
#include "errors.h"
#include "instance.h"
#include "intervention_arguments.h"
#include "intervention_wrap.h"

namespace llama_steer {

Napi::Value context_wrap::set_steering(const Napi::CallbackInfo & info) {
    return guarded(info.Env(), [&]() -> Napi::Value {
        const int32_t sequence = sequence_argument(info[0]);
        std::shared_ptr<const steering_list> list = steering_argument(info[1]);
        // Callers set strengths at every step: nothing waits for it, and only a disposed context can refuse it.
        get().set_steering(sequence, std::move(list), [](const std::exception_ptr &) {});
        return info.Env().Undefined();
    });
}

Napi::Value context_wrap::set_numbers(const Napi::CallbackInfo & info) {
    return guarded(info.Env(), [&]() -> Napi::Value {
        std::shared_ptr<intervention> target = unwrap_argument<intervention_wrap>(info[0], "an intervention")->get();
        intervention_numbers numbers = numbers_argument(info[1]);
        intervention::check(numbers);
        get().set_numbers(std::move(target), std::move(numbers), [](const std::exception_ptr &) {});
        return info.Env().Undefined();
    });
}

Napi::Value context_wrap::share_prefix(const Napi::CallbackInfo & info) {
    const Napi::Env env = info.Env();
    return guarded(env, [&]() -> Napi::Value {
        const int32_t sequence = sequence_argument(info[0]);
        std::vector<int32_t> prompt = int32_array_argument(info[1], "prompt");
        dispatcher & events = instance::of(env).events;
        const dispatcher::ticket id = events.begin(env, {info.This()});
        engine_->share_prefix(sequence, std::move(prompt), [&events, id](int32_t count, std::exception_ptr failure) {
            events.post([&events, id, count, failure](Napi::Env current) {
                if (failure) {
                    events.reject(current, id, failure);
                } else {
                    events.resolve(current, id, Napi::Number::New(current, count));
                }
            });
        });
        return events.promise(id);
    });
}

}  // namespace llama_steer
