#pragma once

#include "dispatcher.h"

#include <napi.h>

#include <atomic>
#include <deque>
#include <functional>
#include <memory>
#include <optional>

namespace llama_steer {

/// Work on one object, on background threads: one piece at a time, in call order. To be used on the JavaScript thread
/// only; it outlives its owner while something runs.
class background_queue : public std::enable_shared_from_this<background_queue> {
public:
    /// What to do, on a thread of its own. It must own nothing of JavaScript's.
    using work = std::function<void(const std::atomic<bool> & cancelled)>;
    /// What its promise is fulfilled with.
    using outcome = std::function<Napi::Value(Napi::Env)>;

    /// Takes in work whose promise is pending as `id`, and starts it if nothing else runs.
    void push(Napi::Env env, dispatcher::ticket id, work run, outcome result);

    /// Work that waits is rejected with ABORTED at once, work that runs is told. Any other ticket: nothing.
    void cancel(Napi::Env env, dispatcher::ticket id);

    /// Rejects all that waits, and what runs once it has ended, with DISPOSED.
    void close(Napi::Env env);

    /// Whether anything runs or waits.
    bool busy() const { return running_ || !waiting_.empty(); }

private:
    struct entry {
        dispatcher::ticket id;
        std::shared_ptr<std::atomic<bool>> cancelled;
        work run;
        outcome result;
    };
    void start_next(Napi::Env env);
    void start(Napi::Env env, const entry & next);

    std::deque<entry> waiting_;
    std::optional<entry> running_;  ///< without its work
    bool closed_ = false;
};

}  // namespace llama_steer
