#include "instance.h"

#include "engine/engine.h"

#include <algorithm>

namespace llama_steer {

instance::instance(Napi::Env env) : events(env) {
    // Hooks run last in, first out: ours runs before the one by which the event channel closes itself.
    napi_add_env_cleanup_hook(
        env, [](void * self) { static_cast<instance *>(self)->stop_threads(); }, this);
}

instance::~instance() = default;

void instance::run_in_background(dispatcher::ticket id, std::shared_ptr<std::atomic<bool>> cancelled,
                                 std::function<finisher()> work) {
    if (stopped_) {
        return;
    }
    join_finished();
    auto done = std::make_shared<std::atomic<bool>>(false);
    std::thread thread([this, id, work = std::move(work), done] {
        finisher finish;
        std::exception_ptr failure;
        try {
            finish = work();
        } catch (...) {
            failure = std::current_exception();
        }
        events.post([this, id, finish = std::move(finish), failure](Napi::Env env) {
            try {
                if (failure) {
                    std::rethrow_exception(failure);
                }
                events.resolve(env, id, finish(env));
            } catch (...) {
                events.reject(env, id, std::current_exception());
            }
        });
        done->store(true);
    });
    background_.push_back({std::move(thread), std::move(cancelled), std::move(done)});
}

void instance::track(const std::shared_ptr<engine> & started) {
    engines_.erase(std::remove_if(engines_.begin(), engines_.end(), [](const auto & each) { return each.expired(); }),
                   engines_.end());
    engines_.push_back(started);
}

void instance::join_finished() {
    for (background & each : background_) {
        if (each.done->load()) {
            each.thread.join();
        }
    }
    background_.erase(std::remove_if(background_.begin(), background_.end(),
                                     [](const background & each) { return !each.thread.joinable(); }),
                      background_.end());
}

void instance::stop_threads() {
    stopped_ = true;
    events.close();
    for (background & each : background_) {
        each.cancelled->store(true);
    }
    for (const std::weak_ptr<engine> & each : engines_) {
        if (const std::shared_ptr<engine> alive = each.lock()) {
            alive->stop();
        }
    }
    for (background & each : background_) {
        each.thread.join();
    }
    background_.clear();
}

}  // namespace llama_steer
