#pragma once

#include <napi.h>

#include <cstdint>
#include <deque>
#include <exception>
#include <functional>
#include <map>
#include <mutex>
#include <vector>

namespace llama_steer {

/// Carries work from native threads to the JavaScript thread of one environment, and holds what is pending there:
/// promises, and the objects that must stay alive until they settle. The event loop stays alive exactly while something
/// is pending.
class dispatcher {
public:
    using ticket = uint64_t;

    explicit dispatcher(Napi::Env env);

    /// Registers a pending promise that keeps `kept` alive. JavaScript thread only.
    ticket begin(Napi::Env env, const std::vector<Napi::Value> & kept);
    Napi::Promise promise(ticket id) const;
    /// The i-th kept object of a pending promise, undefined once settled.
    Napi::Value kept(Napi::Env env, ticket id, size_t index) const;

    /// Settles a promise and lets go of what it kept; unknown tickets are ignored. JavaScript thread only.
    void resolve(Napi::Env env, ticket id, Napi::Value value);
    void reject(Napi::Env env, ticket id, const std::exception_ptr & failure);

    /// Runs `work` on the JavaScript thread. Any thread. Dropped (not run, destroyed here) after `close`: `work` must
    /// own nothing of JavaScript's, only tickets.
    void post(std::function<void(Napi::Env)> work);

    /// Stops delivery; to be called when the environment goes, before its native threads are joined.
    void close();

private:
    struct pending {
        Napi::Promise::Deferred deferred;
        std::vector<Napi::ObjectReference> kept;
    };
    static void drain(napi_env env, napi_value callback, void * context, void * data);
    void finish(Napi::Env env, ticket id);

    napi_threadsafe_function function_ = nullptr;
    ticket next_ = 1;
    std::map<ticket, pending> pending_;

    std::mutex mutex_;
    std::deque<std::function<void(Napi::Env)>> queue_;
    bool closed_ = false;
};

}  // namespace llama_steer
