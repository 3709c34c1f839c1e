// Of engine: one step of all running generations.

#include "engine/engine.h"
#include "engine/evaluation.h"
#include "engine/failures.h"
#include "engine/pass.h"

#include <algorithm>

namespace llama_steer {

void engine::step() {
    step_events events;
    end_cancelled(events);
    if (!generations_.empty()) {
        context_->graph().set_occasion(tap_occasion::generation);
        pass next(*context_);
        // Answers first: a long prompt must not keep them waiting.
        for (const bool answering : {true, false}) {
            for (const auto & each : generations_) {
                if (each->answering() == answering) {
                    each->join(next);
                }
            }
        }
        try {
            const decode_status status = next.run();
            if (status == decode_status::ok) {
                for (const auto & each : generations_) {
                    each->advance(events, scratch_);
                }
            } else {
                fail_step(events, status == decode_status::aborted
                                      ? aborted()
                                      : make_failure(error_code::CONTEXT_FULL, memory_is_full));
            }
        } catch (...) {
            fail_step(events, std::current_exception());
        }
        for (const auto & each : generations_) {
            if (each->finished()) {
                events.ends.push_back(each->end());
            }
        }
        generations_.erase(std::remove_if(generations_.begin(), generations_.end(),
                                          [](const auto & each) { return each->finished(); }),
                           generations_.end());
    }
    if (!events.empty()) {
        refresh_statistics();
        on_step_(std::move(events));
    }
}

void engine::end_cancelled(step_events & events) {
    std::vector<operation_id> ids;
    {
        const std::lock_guard<std::mutex> lock(mutex_);
        // Ids of operations still queued are kept: they are rejected in their turn.
        for (const operation_id id : cancelled_) {
            if (is_queued(id)) {
                ids.push_back(id);
            }
        }
        std::swap(ids, cancelled_);
    }
    for (const operation_id id : ids) {
        const auto found =
            std::find_if(generations_.begin(), generations_.end(), [&](const auto & each) { return each->id() == id; });
        if (found != generations_.end()) {
            (*found)->release(events);
            (*found)->undo();
            generations_.erase(found);
            events.ends.push_back({id, finish_reason::stop, aborted(), std::nullopt});
        }
    }
}

void engine::fail_step(step_events & events, const std::exception_ptr & failure) {
    for (const auto & each : generations_) {
        each->release(events);
        each->undo();
        events.ends.push_back({each->id(), finish_reason::stop, failure, std::nullopt});
    }
    generations_.clear();
}

}  // namespace llama_steer
