#include "engine/engine.h"

#include "engine/evaluation.h"
#include "engine/failures.h"
#include "engine/prefix_sharing.h"

#include <algorithm>

namespace llama_steer {

engine::engine(std::shared_ptr<const model> source, const context_options & options,
               std::function<void(step_events &&)> on_step, live_source live)
    : source_(std::move(source)),
      sequences_(std::max(options.max_sequences, 0)),
      on_step_(std::move(on_step)),
      live_source_(std::move(live)),
      context_(std::make_unique<context>(source_, options)) {
    options_ = context_->options();
    statistics_ = context_->statistics();
    thread_ = std::thread([this] { loop(); });
}

engine::~engine() { stop(); }

void engine::stop() {
    shutdown(true, nullptr);
    const std::lock_guard<std::mutex> lock(join_mutex_);
    if (thread_.get_id() == std::this_thread::get_id()) {
        // The last owner let go inside the thread's final callback: nothing of the engine is touched after it.
        thread_.detach();
    } else if (thread_.joinable()) {
        thread_.join();
    }
}

operation_id engine::enqueue(std::function<void(operation_id)> run,
                             std::function<void(operation_id, std::exception_ptr)> reject, bool held, int64_t tokens) {
    operation_id id = 0;
    {
        const std::lock_guard<std::mutex> lock(mutex_);
        id = next_id_++;
        if (!stopping_) {
            queue_.push_back({id, [run = std::move(run), id] { run(id); },
                              [reject, id](std::exception_ptr failure) { reject(id, std::move(failure)); }, held,
                              tokens});
            wake_.notify_one();
            return id;
        }
    }
    reject(id, disposed());
    return id;
}

operation_id engine::enqueue_simple(std::function<void()> run, operation_done done) {
    return enqueue(
        [this, run = std::move(run), done](operation_id) {
            run();
            refresh_statistics();
            done(nullptr);
        },
        [done](operation_id, std::exception_ptr failure) { done(std::move(failure)); });
}

operation_id engine::evaluate(evaluate_request request, evaluate_done done, bool held) {
    int64_t tokens = 0;
    for (const evaluate_entry & each : request.entries) {
        tokens += static_cast<int64_t>(each.tokens.size());
    }
    return enqueue(
        [this, request = std::move(request), done](operation_id) mutable {
            context_->graph().set_occasion(tap_occasion::evaluation);
            evaluate_result result = llama_steer::evaluate(*context_, sequences_, request, live_source_);
            refresh_statistics();
            done(std::move(result), nullptr);
        },
        [done](operation_id, std::exception_ptr failure) { done({}, std::move(failure)); }, held, tokens);
}

void engine::start(operation_id id) {
    const std::lock_guard<std::mutex> lock(mutex_);
    for (operation & each : queue_) {
        each.held = each.held && each.id != id;
    }
    wake_.notify_one();
}

operation_id engine::generate(generate_request request, bool held) {
    auto chooser = std::make_shared<sampler>(*source_, request.sampling);
    const int64_t tokens = static_cast<int64_t>(request.prompt.size()) + request.max_tokens;
    return enqueue(
        [this, request = std::move(request), chooser = std::move(chooser)](operation_id id) mutable {
            generations_.push_back(
                std::make_unique<generation>(id, std::move(request), std::move(chooser), *context_, sequences_));
        },
        [this](operation_id id, std::exception_ptr failure) {
            step_events events;
            events.ends.push_back({id, finish_reason::stop, std::move(failure), std::nullopt});
            on_step_(std::move(events));
        },
        held, std::min<int64_t>(tokens, options_.context_size));
}

operation_id engine::set_steering(int32_t sequence, std::shared_ptr<const steering_list> list, operation_done done) {
    return enqueue_simple(
        [this, sequence, list = std::move(list)]() mutable {
            context_->graph().set_steering(sequence, std::move(list));
        },
        std::move(done));
}

operation_id engine::set_numbers(std::shared_ptr<intervention> target, intervention_numbers numbers,
                                 operation_done done) {
    return enqueue_simple([target = std::move(target),
                           numbers = std::move(numbers)]() mutable { target->set_numbers(std::move(numbers)); },
                          std::move(done));
}

operation_id engine::share_prefix(int32_t sequence, std::vector<int32_t> prompt,
                                  std::function<void(int32_t, std::exception_ptr)> done) {
    return enqueue(
        [this, sequence, prompt = std::move(prompt), done](operation_id) {
            const int32_t count = llama_steer::share_prefix(*context_, sequences_, sequence, prompt);
            refresh_statistics();
            done(count, nullptr);
        },
        [done](operation_id, std::exception_ptr failure) { done(0, std::move(failure)); });
}

operation_id engine::truncate(int32_t sequence, int32_t position, operation_done done) {
    return enqueue_simple(
        [this, sequence, position] {
            if (sequences_[sequence].generating) {
                throw error(error_code::SEQUENCE_BUSY,
                            "sequence " + std::to_string(sequence) + " is generating: wait for it or abort it first");
            }
            if (position < sequences_.position(sequence) || position == 0) {
                sequences_[sequence].pending.reset();
                cut_back(*context_, sequences_, sequence, position);
            }
        },
        std::move(done));
}

operation_id engine::attach(std::shared_ptr<tap> target, operation_done done) {
    return enqueue_simple([this, target = std::move(target)]() mutable { context_->graph().attach(std::move(target)); },
                          std::move(done));
}

operation_id engine::detach(std::shared_ptr<tap> target, operation_done done) {
    return enqueue_simple([this, target = std::move(target)] { context_->graph().detach(target); }, std::move(done));
}

void engine::cancel(operation_id id) {
    const std::lock_guard<std::mutex> lock(mutex_);
    cancelled_.push_back(id);
    if (running_ == id) {
        context_->request_abort();
    }
    wake_.notify_one();
}

context_statistics engine::statistics() const {
    const std::lock_guard<std::mutex> lock(mutex_);
    context_statistics result = statistics_;
    result.promised_tokens += running_tokens_;
    for (const operation & each : queue_) {
        result.promised_tokens += each.tokens;
    }
    return result;
}

void engine::shutdown(bool interrupt, std::function<void()> done) {
    const std::lock_guard<std::mutex> lock(mutex_);
    if (interrupt && context_ != nullptr) {
        context_->request_abort();
    }
    if (!stopping_) {
        stopping_ = true;
        stopped_ = std::move(done);
        wake_.notify_one();
    }
}

bool engine::is_cancelled(operation_id id) const {
    return std::find(cancelled_.begin(), cancelled_.end(), id) != cancelled_.end();
}

bool engine::is_queued(operation_id id) const {
    return std::any_of(queue_.begin(), queue_.end(), [&](const operation & each) { return each.id == id; });
}

/// How many operations are queued before the first that is held; one that was cancelled only has to be rejected.
size_t engine::ready() const {
    const auto held = std::find_if(queue_.begin(), queue_.end(),
                                   [&](const operation & each) { return each.held && !is_cancelled(each.id); });
    return static_cast<size_t>(held - queue_.begin());
}

/// Waits until there is something to do. Returns how many operations are ready, or nothing when the engine stops.
std::optional<size_t> engine::wait_for_work() {
    std::unique_lock<std::mutex> lock(mutex_);
    wake_.wait(lock, [&] {
        return stopping_ || ready() > 0 || !generations_.empty() ||
               std::any_of(cancelled_.begin(), cancelled_.end(), [&](operation_id id) { return !is_queued(id); });
    });
    return stopping_ ? std::nullopt : std::optional<size_t>(ready());
}

/// Runs the first queued operation, or rejects it if it was cancelled. Returns false when the engine stops.
bool engine::run_next() {
    operation next{};
    {
        const std::lock_guard<std::mutex> lock(mutex_);
        if (stopping_) {
            return false;
        }
        next = std::move(queue_.front());
        queue_.pop_front();
        const auto found = std::find(cancelled_.begin(), cancelled_.end(), next.id);
        if (found != cancelled_.end()) {
            cancelled_.erase(found);
            next.run = [] { std::rethrow_exception(aborted()); };
        }
        running_ = next.id;
        running_tokens_ = next.tokens;
        context_->clear_abort();
    }
    std::exception_ptr failure;
    try {
        next.run();
    } catch (...) {
        failure = std::current_exception();
    }
    // Before anybody hears of it: whoever waits for memory looks then.
    refresh_statistics();
    if (failure) {
        next.reject(failure);
    }
    const std::lock_guard<std::mutex> lock(mutex_);
    running_ = 0;
    if (!stopping_) {
        context_->clear_abort();
    }
    return true;
}

void engine::loop() {
    while (const std::optional<size_t> ready_now = wait_for_work()) {
        // All that is ready by now, and no more, before the next step: answers that begin together share their
        // batches, and a caller who never stops evaluating cannot starve them.
        bool running = true;
        for (size_t i = 0; running && i < *ready_now; ++i) {
            running = run_next();
        }
        if (running) {
            step();
        }
    }
    close();
}

void engine::refresh_statistics() {
    context_statistics current = context_->statistics();
    for (const auto & each : generations_) {
        current.promised_tokens += each->growth();
    }
    const std::lock_guard<std::mutex> lock(mutex_);
    statistics_ = current;
    running_tokens_ = 0;
}

void engine::close() {
    std::deque<operation> queue;
    std::function<void()> stopped;
    {
        const std::lock_guard<std::mutex> lock(mutex_);
        std::swap(queue, queue_);
        std::swap(stopped, stopped_);
    }
    step_events events;
    for (const auto & each : generations_) {
        each->release(events);
        events.ends.push_back({each->id(), finish_reason::stop, disposed(), std::nullopt});
    }
    generations_.clear();
    if (!events.empty()) {
        on_step_(std::move(events));
    }
    for (operation & each : queue) {
        each.reject(disposed());
    }
    {
        const std::lock_guard<std::mutex> lock(mutex_);
        context_.reset();
    }
    if (stopped) {
        stopped();
    }
}

}  // namespace llama_steer
