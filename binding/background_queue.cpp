#include "background_queue.h"

#include "base/error.h"
#include "instance.h"

#include <algorithm>
#include <exception>
#include <string>
#include <utility>

namespace llama_steer {

namespace {

std::exception_ptr failure_of(error_code code, const char * message) {
    return std::make_exception_ptr(error(code, message));
}

std::exception_ptr disposed() { return failure_of(error_code::DISPOSED, "it was disposed of before this was done"); }

}  // namespace

void background_queue::push(Napi::Env env, dispatcher::ticket id, work run, outcome result) {
    waiting_.push_back({id, std::make_shared<std::atomic<bool>>(false), std::move(run), std::move(result)});
    start_next(env);
}

void background_queue::cancel(Napi::Env env, dispatcher::ticket id) {
    if (running_ && running_->id == id) {
        running_->cancelled->store(true);
        return;
    }
    const auto found =
        std::find_if(waiting_.begin(), waiting_.end(), [&](const entry & each) { return each.id == id; });
    if (found != waiting_.end()) {
        waiting_.erase(found);
        instance::of(env).events.reject(env, id, failure_of(error_code::ABORTED, "the operation was aborted"));
    }
}

void background_queue::close(Napi::Env env) {
    closed_ = true;
    if (running_) {
        running_->cancelled->store(true);
    }
    for (const entry & each : std::exchange(waiting_, {})) {
        instance::of(env).events.reject(env, each.id, disposed());
    }
}

void background_queue::start_next(Napi::Env env) {
    while (!running_ && !waiting_.empty()) {
        entry next = std::move(waiting_.front());
        waiting_.pop_front();
        try {
            start(env, next);
            next.run = nullptr;
            running_ = std::move(next);
        } catch (...) {
            instance::of(env).events.reject(env, next.id, std::current_exception());
        }
    }
}

void background_queue::start(Napi::Env env, const entry & next) {
    instance::of(env).run_in_background(
        next.id, next.cancelled,
        [self = shared_from_this(), run = next.run, cancelled = next.cancelled, result = next.result] {
            std::exception_ptr failure;
            try {
                run(*cancelled);
            } catch (...) {
                failure = std::current_exception();
            }
            return [self, failure, result](Napi::Env current) -> Napi::Value {
                self->running_.reset();
                self->start_next(current);
                if (failure) {
                    std::rethrow_exception(self->closed_ ? disposed() : failure);
                }
                return result(current);
            };
        });
}

}  // namespace llama_steer
