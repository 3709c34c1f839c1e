#include "engine/live_strengths.h"

#include "base/error.h"

#include <algorithm>
#include <cmath>

namespace llama_steer {

std::vector<live_request> live_requests(const instrumentation & graph) {
    std::vector<live_request> requests;
    const batch_layout & layout = graph.layout();
    for (int32_t sequence = 0; sequence < layout.max_sequences(); ++sequence) {
        const sequence_span & span = layout.span(sequence);
        const steering_list * list = graph.steering().list(sequence);
        if (span.n_tokens == 0 || list == nullptr) {
            continue;
        }
        for (const std::shared_ptr<intervention> & each : *list) {
            if (each->live()) {
                const int32_t last = span.last_position();
                requests.push_back({each, sequence, last, layout.step(sequence, last),
                                    layout.phase(sequence, last) == token_phase::generated,
                                    layout.tokens(sequence)[static_cast<size_t>(last)]});
            }
        }
    }
    return requests;
}

std::vector<int32_t> ask_strengths(const std::vector<live_request> & requests, const live_source & source,
                                   const std::function<bool()> & interrupted) {
    std::vector<int32_t> failed;
    if (requests.empty()) {
        return failed;
    }
    const std::vector<double> answers = source ? source(requests, interrupted) : std::vector<double>();
    if (interrupted()) {
        throw error(error_code::ABORTED, "the operation was aborted while a strength was asked for");
    }
    for (size_t i = 0; i < requests.size(); ++i) {
        const auto strength = static_cast<float>(i < answers.size() ? answers[i] : NAN);
        if (std::isfinite(strength)) {
            requests[i].target->set_live_strength(strength);
        } else if (std::find(failed.begin(), failed.end(), requests[i].sequence) == failed.end()) {
            failed.push_back(requests[i].sequence);
        }
    }
    return failed;
}

}  // namespace llama_steer
