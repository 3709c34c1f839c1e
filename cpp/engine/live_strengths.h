#pragma once

#include "model/context.h"
#include "steering/intervention.h"

#include <cstdint>
#include <functional>
#include <vector>

namespace llama_steer {

/// Asks for the strength of one intervention in the pass that is about to run.
struct live_request {
    std::shared_ptr<intervention> target;
    int32_t sequence;
    int32_t position;  ///< of the sequence's last token in the pass
    int64_t step;      ///< its clock, see batch_layout
    bool generated;
    int32_t token;
};

/// Answers the requests of a pass, one number each; NaN says that the caller's function failed. Called on the engine's
/// thread, waits for the caller's; returns early, with whatever numbers, once `interrupted` says so.
using live_source = std::function<std::vector<double>(const std::vector<live_request> & requests,
                                                      const std::function<bool()> & interrupted)>;

/// What has to be asked before the pass in the context's layout runs.
std::vector<live_request> live_requests(const instrumentation & graph);

/// Asks, and sets the strengths. Returns the sequences whose function failed.
std::vector<int32_t> ask_strengths(const std::vector<live_request> & requests, const live_source & source,
                                   const std::function<bool()> & interrupted);

}  // namespace llama_steer
