#include "context_wrap.h"

#include "arguments.h"
#include "errors.h"
#include "instance.h"
#include "live_strengths_call.h"
#include "requests.h"
#include "sites.h"
#include "task.h"

namespace llama_steer {

Napi::Function context_wrap::define(Napi::Env env) {
    return DefineClass(env, "NativeContext",
                       {
                           InstanceMethod<&context_wrap::options>("options"),
                           InstanceMethod<&context_wrap::sites>("sites"),
                           InstanceMethod<&context_wrap::position>("position"),
                           InstanceMethod<&context_wrap::statistics>("statistics"),
                           InstanceMethod<&context_wrap::evaluate>("evaluate"),
                           InstanceMethod<&context_wrap::generate>("generate"),
                           InstanceMethod<&context_wrap::start>("start"),
                           InstanceMethod<&context_wrap::cancel>("cancel"),
                           InstanceMethod<&context_wrap::set_steering>("setSteering"),
                           InstanceMethod<&context_wrap::set_numbers>("setNumbers"),
                           InstanceMethod<&context_wrap::share_prefix>("sharePrefix"),
                           InstanceMethod<&context_wrap::truncate>("truncate"),
                           InstanceMethod<&context_wrap::attach>("attach"),
                           InstanceMethod<&context_wrap::detach>("detach"),
                           InstanceMethod<&context_wrap::dispose>("dispose"),
                       });
}

Napi::Value context_wrap::create(const Napi::CallbackInfo & info, const std::shared_ptr<const model> & source) {
    const Napi::Env env = info.Env();
    const context_options options = context_arguments(info[0]);
    if (!info[1].IsFunction() || !info[2].IsFunction()) {
        throw_wrong_type("onStep and onLive", "functions");
    }

    instance & self = instance::of(env);
    const dispatcher::ticket id = self.events.begin(env, {info[1], info[2], info.This()});
    auto back = std::make_shared<link>();
    auto cancelled = std::make_shared<std::atomic<bool>>(false);
    self.run_in_background(id, cancelled, [source, options, back, &self, id]() -> instance::finisher {
        auto on_step = [&self, back](step_events && events) {
            auto moved = std::make_shared<step_events>(std::move(events));
            self.events.post([back, moved](Napi::Env current) {
                if (back->self != nullptr) {
                    back->self->deliver(current, *moved);
                }
            });
        };
        auto live =
            make_live_source(self.events, [back](Napi::Env current, const std::vector<live_request> & requests) {
                return back->self == nullptr ? std::vector<double>()
                                             : call_live_function(current, back->self->on_live_.Value(), requests);
            });
        look_up_sites(*source);
        auto made = std::make_shared<creation>();
        made->made = std::make_shared<engine>(source, options, std::move(on_step), std::move(live));
        made->back = back;
        made->ticket = id;
        return [made](Napi::Env current) -> Napi::Value {
            return instance::of(current).context_class.New({Napi::External<creation>::New(current, made.get())});
        };
    });
    return make_task(env, id, [cancelled] { cancelled->store(true); });
}

context_wrap::context_wrap(const Napi::CallbackInfo & info) : ObjectWrap(info) {
    if (info.Length() != 1 || !info[0].IsExternal()) {
        throw Napi::TypeError::New(info.Env(), "contexts are made by createContext");
    }
    const creation & made = *info[0].As<Napi::External<creation>>().Data();
    instance & self = instance::of(info.Env());
    engine_ = made.made;
    link_ = made.back;
    link_->self = this;
    on_step_ = Napi::Persistent(self.events.kept(info.Env(), made.ticket, 0).As<Napi::Function>());
    on_live_ = Napi::Persistent(self.events.kept(info.Env(), made.ticket, 1).As<Napi::Function>());
    self.track(engine_);
}

context_wrap::~context_wrap() {
    if (link_) {
        link_->self = nullptr;
    }
}

engine & context_wrap::get() const {
    if (!engine_) {
        throw error(error_code::DISPOSED, "the context was disposed");
    }
    return *engine_;
}

int32_t context_wrap::sequence_argument(const Napi::Value & value) const {
    return static_cast<int32_t>(integer_argument(value, "sequence", 0, get().options().max_sequences - 1));
}

operation_done context_wrap::settle(dispatcher::ticket id, Napi::Env env) const {
    dispatcher & events = instance::of(env).events;
    return [&events, id](std::exception_ptr failure) {
        events.post([&events, id, failure](Napi::Env current) {
            if (failure) {
                events.reject(current, id, failure);
            } else {
                events.resolve(current, id, current.Undefined());
            }
        });
    };
}

Napi::Value context_wrap::options(const Napi::CallbackInfo & info) {
    return guarded(info.Env(), [&]() -> Napi::Value {
        const context_options & source = get().options();
        Napi::Object result = Napi::Object::New(info.Env());
        result.Set("sequences", source.max_sequences);
        result.Set("contextSize", source.context_size);
        result.Set("memoryTokens", source.memory_tokens);
        result.Set("batchSize", source.batch_size);
        result.Set("promptBudget", source.prompt_budget);
        result.Set("threads", source.threads);
        result.Set("unifiedMemory", source.unified_memory);
        result.Set("memoryType", source.float32_memory ? "f32" : "f16");
        result.Set("operators", source.own_operators ? "own" : "upstream");
        return result;
    });
}

Napi::Value context_wrap::sites(const Napi::CallbackInfo & info) {
    return guarded(info.Env(), [&] { return sites_object(info.Env(), get().source().sites()); });
}

Napi::Value context_wrap::position(const Napi::CallbackInfo & info) {
    return guarded(info.Env(), [&]() -> Napi::Value {
        return Napi::Number::New(info.Env(), get().position(sequence_argument(info[0])));
    });
}

Napi::Value context_wrap::statistics(const Napi::CallbackInfo & info) {
    return guarded(info.Env(), [&]() -> Napi::Value {
        const context_statistics source = get().statistics();
        Napi::Object result = Napi::Object::New(info.Env());
        result.Set("graphsBuilt", static_cast<double>(source.graphs_built));
        result.Set("graphsReused", static_cast<double>(source.graphs_reused));
        result.Set("decodes", static_cast<double>(source.decodes));
        result.Set("tokens", static_cast<double>(source.tokens));
        result.Set("captureBytesCopied", static_cast<double>(source.capture_bytes_copied));
        result.Set("heldTokens", static_cast<double>(source.held_tokens));
        result.Set("promisedTokens", static_cast<double>(source.promised_tokens));
        return result;
    });
}

Napi::Value context_wrap::truncate(const Napi::CallbackInfo & info) {
    const Napi::Env env = info.Env();
    return guarded(env, [&]() -> Napi::Value {
        const int32_t sequence = sequence_argument(info[0]);
        const auto position = static_cast<int32_t>(integer_argument(info[1], "position", 0, INT32_MAX));
        const dispatcher::ticket id = instance::of(env).events.begin(env, {info.This()});
        engine_->truncate(sequence, position, settle(id, env));
        return instance::of(env).events.promise(id);
    });
}

Napi::Value context_wrap::dispose(const Napi::CallbackInfo & info) {
    const Napi::Env env = info.Env();
    dispatcher & events = instance::of(env).events;
    const dispatcher::ticket id = events.begin(env, {info.This()});
    const Napi::Promise promise = events.promise(id);
    if (!engine_) {
        events.resolve(env, id, env.Undefined());
        return promise;
    }
    // The engine is kept until its thread has said that it is done, so that it is never joined while working.
    const std::shared_ptr<engine> closing = std::move(engine_);
    engine_.reset();
    auto keep = std::make_shared<std::shared_ptr<engine>>(closing);
    closing->shutdown(false, [&events, id, keep] {
        events.post([&events, id, keep](Napi::Env current) {
            keep->reset();
            events.resolve(current, id, current.Undefined());
        });
    });
    return promise;
}

}  // namespace llama_steer
