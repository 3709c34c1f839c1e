#include "dispatcher.h"

#include "errors.h"

namespace llama_steer {

dispatcher::dispatcher(Napi::Env env) {
    const Napi::String name = Napi::String::New(env, "llama-steer");
    const napi_status status =
        napi_create_threadsafe_function(env, nullptr, nullptr, name, 0, 1, nullptr, nullptr, this, drain, &function_);
    if (status != napi_ok) {
        throw Napi::Error::New(env, "cannot create the addon's event channel");
    }
    napi_unref_threadsafe_function(env, function_);
}

dispatcher::ticket dispatcher::begin(Napi::Env env, const std::vector<Napi::Value> & kept) {
    if (pending_.empty()) {
        napi_ref_threadsafe_function(env, function_);
    }
    const ticket id = next_++;
    pending entry{Napi::Promise::Deferred::New(env), {}};
    for (const Napi::Value & value : kept) {
        entry.kept.push_back(value.IsObject() ? Napi::Persistent(value.As<Napi::Object>()) : Napi::ObjectReference());
    }
    pending_.emplace(id, std::move(entry));
    return id;
}

Napi::Promise dispatcher::promise(ticket id) const { return pending_.at(id).deferred.Promise(); }

Napi::Value dispatcher::kept(Napi::Env env, ticket id, size_t index) const {
    const auto found = pending_.find(id);
    if (found == pending_.end() || found->second.kept[index].IsEmpty()) {
        return env.Undefined();
    }
    return found->second.kept[index].Value();
}

void dispatcher::resolve(Napi::Env env, ticket id, Napi::Value value) {
    const auto found = pending_.find(id);
    if (found != pending_.end()) {
        found->second.deferred.Resolve(value);
        finish(env, id);
    }
}

void dispatcher::reject(Napi::Env env, ticket id, const std::exception_ptr & failure) {
    const auto found = pending_.find(id);
    if (found != pending_.end()) {
        found->second.deferred.Reject(to_javascript(env, failure));
        finish(env, id);
    }
}

void dispatcher::finish(Napi::Env env, ticket id) {
    pending_.erase(id);
    if (pending_.empty()) {
        napi_unref_threadsafe_function(env, function_);
    }
}

void dispatcher::post(std::function<void(Napi::Env)> work) {
    const std::lock_guard<std::mutex> lock(mutex_);
    if (closed_) {
        return;
    }
    queue_.push_back(std::move(work));
    if (queue_.size() == 1) {
        napi_call_threadsafe_function(function_, nullptr, napi_tsfn_nonblocking);
    }
}

void dispatcher::close() {
    const std::lock_guard<std::mutex> lock(mutex_);
    closed_ = true;
    queue_.clear();
}

void dispatcher::drain(napi_env raw, napi_value, void * context, void *) {
    if (raw == nullptr) {
        return;
    }
    auto * self = static_cast<dispatcher *>(context);
    std::deque<std::function<void(Napi::Env)>> queue;
    {
        const std::lock_guard<std::mutex> lock(self->mutex_);
        std::swap(queue, self->queue_);
    }
    const Napi::Env env(raw);
    for (const auto & work : queue) {
        const Napi::HandleScope scope(env);
        try {
            try {
                work(env);
            } catch (const Napi::Error & failure) {
                // Only a callback of the caller's own can throw here: it surfaces as an uncaught exception, as any
                // other.
                napi_fatal_exception(raw, failure.Value());
            }
        } catch (...) {
            // The environment is being torn down and takes neither results nor exceptions any more.
        }
    }
}

}  // namespace llama_steer
