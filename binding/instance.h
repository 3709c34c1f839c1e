#pragma once

#include "dispatcher.h"

#include <napi.h>

#include <atomic>
#include <functional>
#include <memory>
#include <thread>
#include <vector>

namespace llama_steer {

class engine;

/// What one environment (the main thread, or a worker thread) has of the addon.
struct instance {
    explicit instance(Napi::Env env);
    ~instance();

    static instance & of(Napi::Env env) { return *env.GetInstanceData<instance>(); }

    /// Runs `work` on a thread of its own and settles the promise of `id` with what the function it returns makes on
    /// the JavaScript thread. `cancelled` turns true when the environment goes.
    using finisher = std::function<Napi::Value(Napi::Env)>;
    void run_in_background(dispatcher::ticket id, std::shared_ptr<std::atomic<bool>> cancelled,
                           std::function<finisher()> work);

    /// Remembers an engine, to stop it when the environment goes.
    void track(const std::shared_ptr<engine> & started);

    /// Cancels what runs and waits until no thread of this environment does any more; none starts afterwards. Objects
    /// stay readable. Calling it again does nothing.
    void stop_threads();

    Napi::FunctionReference error_class;
    Napi::FunctionReference model_class;
    Napi::FunctionReference context_class;
    Napi::FunctionReference directions_class;
    Napi::FunctionReference intervention_class;
    Napi::FunctionReference moments_class;
    Napi::FunctionReference ridge_accumulator_class;
    Napi::FunctionReference capture_writer_class;
    Napi::FunctionReference capture_reader_class;
    dispatcher events;

private:
    struct background {
        std::thread thread;
        std::shared_ptr<std::atomic<bool>> cancelled;
        std::shared_ptr<std::atomic<bool>> done;
    };
    void join_finished();

    bool stopped_ = false;
    std::vector<background> background_;
    std::vector<std::weak_ptr<engine>> engines_;
};

}  // namespace llama_steer
