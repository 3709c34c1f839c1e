#pragma once

#include "engine/generation.h"
#include "engine/live_strengths.h"
#include "engine/prompt_shares.h"
#include "engine/requests.h"
#include "engine/sequence_table.h"
#include "model/context.h"

#include <condition_variable>
#include <deque>
#include <functional>
#include <memory>
#include <mutex>
#include <optional>
#include <thread>
#include <vector>

namespace llama_steer {

/// A context with a thread of its own. Operations run there in the order they were called; between them one step of all
/// running generations at a time, in one batch. Every method may be called from any thread and returns at once. Every
/// callback is called exactly once, on the engine's thread (on the caller's, if the engine is shut down already).
class engine {
public:
    /// Creates the context on the calling thread. `on_step` receives what running generations bring; `live` is asked
    /// for the strengths of live interventions, before every pass that has any. Throws INVALID_ARGUMENT, OUT_OF_MEMORY.
    engine(std::shared_ptr<const model> source, const context_options & options,
           std::function<void(step_events &&)> on_step, live_source live = nullptr);
    /// Shuts down, interrupting what runs, and joins the thread.
    ~engine();
    engine(const engine &) = delete;
    engine & operator=(const engine &) = delete;

    /// `held`: it waits for `start` in its place, and so does what is called after it; running generations go on.
    operation_id evaluate(evaluate_request request, evaluate_done done, bool held = false);
    void start(operation_id id);
    /// Throws at once what is wrong with its sampling: INVALID_ARGUMENT, GRAMMAR_INVALID. Other errors of the request
    /// arrive as a generation_end.
    operation_id generate(generate_request request, bool held = false);
    /// Rejects a queued operation, interrupts a running evaluation, ends a generation: with ABORTED. Unknown or
    /// finished ids are ignored.
    void cancel(operation_id id);

    operation_id set_steering(int32_t sequence, std::shared_ptr<const steering_list> list, operation_done done);
    /// Replaces the numbers of an intervention that is in a list. Rebuilds no graph.
    operation_id set_numbers(std::shared_ptr<intervention> target, intervention_numbers numbers, operation_done done);
    /// See share_prefix of prefix_sharing.h; `done` receives its result.
    operation_id share_prefix(int32_t sequence, std::vector<int32_t> prompt,
                              std::function<void(int32_t count, std::exception_ptr failure)> done);
    /// Cuts a sequence back to its first `position` tokens.
    operation_id truncate(int32_t sequence, int32_t position, operation_done done);
    operation_id attach(std::shared_ptr<tap> target, operation_done done);
    operation_id detach(std::shared_ptr<tap> target, operation_done done);

    const context_options & options() const { return options_; }
    const model & source() const { return *source_; }
    int32_t position(int32_t sequence) const { return sequences_.position(sequence); }
    /// As of the last operation or step; promised tokens include those of operations that wait.
    context_statistics statistics() const;

    /// Lets the operation in flight finish (or interrupts it), rejects everything else with DISPOSED, frees the
    /// context, then calls `done`. Idempotent: later calls return without calling theirs.
    void shutdown(bool interrupt, std::function<void()> done);
    /// Interrupts what runs, shuts down and waits for the thread. Idempotent. Not from the engine's own thread.
    void stop();

private:
    struct operation {
        operation_id id;
        std::function<void()> run;
        std::function<void(std::exception_ptr)> reject;
        bool held = false;
        int64_t tokens = 0;  ///< that it brings into the memory at most
    };

    operation_id enqueue(std::function<void(operation_id)> run,
                         std::function<void(operation_id, std::exception_ptr)> reject, bool held = false,
                         int64_t tokens = 0);
    operation_id enqueue_simple(std::function<void()> run, operation_done done);
    void loop();
    size_t ready() const;
    bool is_cancelled(operation_id id) const;
    bool is_queued(operation_id id) const;
    std::optional<size_t> wait_for_work();
    bool run_next();
    void step();
    void refresh_statistics();
    void join_all(pass & next);
    bool ask_live_strengths(step_events & events, std::vector<uint64_t> & answered);
    void end_cancelled(step_events & events);
    void end_generation(step_events & events, const std::exception_ptr & failure,
                        const std::function<bool(const generation &)> & which);
    void fail_step(step_events & events, const std::exception_ptr & failure);
    void close();

    context_options options_;
    std::shared_ptr<const model> source_;
    sequence_table sequences_;
    std::function<void(step_events &&)> on_step_;
    live_source live_source_;

    // Used on the engine's thread only.
    std::unique_ptr<context> context_;
    std::vector<std::unique_ptr<generation>> generations_;
    prompt_divider prompts_;
    std::vector<llama_token_data> scratch_;

    mutable std::mutex mutex_;
    std::condition_variable wake_;
    std::deque<operation> queue_;
    std::vector<operation_id> cancelled_;
    operation_id next_id_ = 1;
    operation_id running_ = 0;
    int64_t running_tokens_ = 0;  ///< of the operation that runs, until statistics_ has what it brought
    bool stopping_ = false;
    std::function<void()> stopped_;
    context_statistics statistics_;

    std::mutex join_mutex_;
    std::thread thread_;
};

}  // namespace llama_steer
