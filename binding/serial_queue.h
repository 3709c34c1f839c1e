#pragma once

#include "instance.h"

#include <napi.h>

#include <atomic>
#include <deque>
#include <functional>
#include <memory>
#include <mutex>

namespace llama_steer {

/// Runs jobs one after the other, in the order they came, on a background thread that is there while there are jobs.
class serial_queue : public std::enable_shared_from_this<serial_queue> {
public:
    explicit serial_queue(instance & owner) : owner_(owner) {}

    /// Settles the promise of `id` with what the function that `work` returns makes on the JavaScript thread. When the
    /// environment goes, `stopping` turns true and no other job starts. JavaScript thread only.
    void submit(dispatcher::ticket id, std::function<instance::finisher()> work);

    bool stopping() const { return stopped_->load(); }

private:
    struct job {
        dispatcher::ticket id;
        std::function<instance::finisher()> work;
    };
    void run();
    void settle(job & each);

    instance & owner_;
    std::shared_ptr<std::atomic<bool>> stopped_ = std::make_shared<std::atomic<bool>>(false);
    std::mutex mutex_;
    std::deque<job> jobs_;
    bool running_ = false;
};

}  // namespace llama_steer
