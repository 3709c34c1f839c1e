// Of engine: one step of all running generations.

#include "engine/engine.h"
#include "engine/evaluation.h"
#include "engine/failures.h"
#include "engine/pass.h"
#include "engine/prompt_shares.h"

#include <algorithm>
#include <optional>

namespace llama_steer {

void engine::step() {
    step_events events;
    end_cancelled(events);
    if (!generations_.empty()) {
        context_->graph().set_occasion(tap_occasion::generation);
        try {
            std::optional<pass> next;
            std::vector<uint64_t> answered;
            do {
                next.emplace(*context_);
                join_all(*next);
            } while (ask_live_strengths(events, answered));
            const decode_status status = next->empty() ? decode_status::ok : next->run();
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
    refresh_statistics();
    if (!events.empty()) {
        on_step_(std::move(events));
    }
}

void engine::join_all(pass & next) {
    // Answers first: a long prompt must not keep them waiting.
    std::vector<generation *> entering;
    std::vector<entering_prompt> prompts;
    for (const auto & each : generations_) {
        if (each->answering()) {
            each->join(next, 1);
        } else {
            entering.push_back(each.get());
            prompts.push_back({each->prompt_size(), each->prompt_left()});
        }
    }
    // Also where nobody waits: who asks in the middle of a pass waits for its end.
    const int32_t room = std::min(next.room(), std::max(options_.prompt_budget, static_cast<int32_t>(entering.size())));
    const std::vector<int32_t> shares = prompts_.divide(prompts, room);
    for (size_t i = 0; i < entering.size(); ++i) {
        entering[i]->join(next, shares[i]);
    }
}

/// Returns true if a generation ended because the function of one of its strengths failed: the pass is to be made anew
/// without it. What was answered in this step is not asked again.
bool engine::ask_live_strengths(step_events & events, std::vector<uint64_t> & answered) {
    std::vector<live_request> requests = live_requests(context_->graph());
    requests.erase(std::remove_if(requests.begin(), requests.end(),
                                  [&](const live_request & each) {
                                      return std::find(answered.begin(), answered.end(), each.target->id()) !=
                                             answered.end();
                                  }),
                   requests.end());
    const std::vector<int32_t> failed =
        ask_strengths(requests, live_source_, [this] { return context_->abort_requested(); });
    for (const live_request & each : requests) {
        answered.push_back(each.target->id());
    }
    for (const int32_t sequence : failed) {
        end_generation(events, make_failure(error_code::SCHEDULE_FAILED, schedule_failed),
                       [&](const generation & each) { return each.sequence() == sequence; });
    }
    return !failed.empty();
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
        end_generation(events, aborted(), [&](const generation & each) { return each.id() == id; });
    }
}

void engine::end_generation(step_events & events, const std::exception_ptr & failure,
                            const std::function<bool(const generation &)> & which) {
    const auto found =
        std::find_if(generations_.begin(), generations_.end(), [&](const auto & each) { return which(*each); });
    if (found != generations_.end()) {
        (*found)->release(events);
        events.ends.push_back({(*found)->id(), finish_reason::stop, failure, std::nullopt});
        (*found)->undo();
        generations_.erase(found);
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
