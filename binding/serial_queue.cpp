#include "serial_queue.h"

namespace llama_steer {

void serial_queue::submit(dispatcher::ticket id, std::function<instance::finisher()> work) {
    {
        const std::lock_guard<std::mutex> lock(mutex_);
        jobs_.push_back({id, std::move(work)});
        if (running_) {
            return;
        }
        running_ = true;
    }
    try {
        // No promise has the ticket 0: each job settles its own.
        owner_.run_in_background(0, stopped_, [self = shared_from_this()]() -> instance::finisher {
            self->run();
            return [](Napi::Env env) { return env.Undefined(); };
        });
    } catch (...) {
        const std::lock_guard<std::mutex> lock(mutex_);
        jobs_.clear();
        running_ = false;
        throw;
    }
}

void serial_queue::run() {
    for (;;) {
        job next;
        {
            const std::lock_guard<std::mutex> lock(mutex_);
            if (jobs_.empty() || stopping()) {
                running_ = false;
                return;
            }
            next = std::move(jobs_.front());
            jobs_.pop_front();
        }
        settle(next);
    }
}

void serial_queue::settle(job & each) {
    instance::finisher finish;
    std::exception_ptr failure;
    try {
        finish = each.work();
    } catch (...) {
        failure = std::current_exception();
    }
    owner_.events.post([&events = owner_.events, id = each.id, finish = std::move(finish), failure](Napi::Env env) {
        try {
            if (failure) {
                std::rethrow_exception(failure);
            }
            events.resolve(env, id, finish(env));
        } catch (...) {
            events.reject(env, id, std::current_exception());
        }
    });
}

}  // namespace llama_steer
