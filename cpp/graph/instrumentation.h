#pragma once

#include "base/batch_layout.h"
#include "capture/tap.h"
#include "graph/device_directions.h"
#include "graph/own_operators.h"
#include "graph/seam.h"
#include "steering/condition_memory.h"
#include "steering/prefix_identities.h"
#include "steering/program_compiler.h"
#include "steering/report_board.h"
#include "steering/steering_plan.h"

#include <memory>
#include <vector>

namespace llama_steer {

/// All that is attached to the graphs of one context: its taps and the steering of its sequences. Lives at least as
/// long as the llama_context that carries its address. Used on the decoding thread only.
class instrumentation final : public graph_client {
public:
    instrumentation(int32_t max_sequences, int n_layers);

    /// Attaches a tap; the next graph of its occasion is built with it.
    void attach(std::shared_ptr<tap> target);
    /// Detaches it; its destination is not written from the next decode on.
    void detach(const std::shared_ptr<tap> & target);
    /// Says what the next decodes are, which decides what taps take part.
    void set_occasion(tap_occasion occasion);

    /// The taps of an occasion, in the order they were attached.
    std::vector<std::shared_ptr<tap>> taps(tap_occasion occasion) const;
    /// Bytes that taps ever copied (see tap::bytes_copied), detached ones included.
    uint64_t bytes_copied() const;

    void set_steering(int32_t sequence, std::shared_ptr<const steering_list> list);
    const steering_plan & steering() const { return steering_; }
    condition_memory & conditions() { return conditions_; }
    prefix_identities & identities() { return identities_; }
    /// What interventions report of the pass that ran last.
    report_board & reports() { return reports_; }
    program_compiler & compiler() { return compiler_; }
    direction_store & directions() { return directions_; }
    own_operators & operators() { return operators_; }

    /// Notes what a token of the batch that was just decoded was computed from.
    void identify(int32_t sequence, int32_t position, int32_t token, bool output) {
        identities_.set(sequence, position, token,
                        hash_of_actions(steering_.list(sequence), layout_, {sequence, position, output}));
    }

    /// The memory of a sequence is being cut back to its first `position` tokens.
    void forget(int32_t sequence, int32_t position) {
        identities_.cut(sequence, position);
        conditions_.cut(sequence, position);
    }

    /// The batch that is about to be decoded; filled by the caller before every decode.
    batch_layout & layout() { return layout_; }
    const batch_layout & layout() const { return layout_; }

    int n_layers() const { return n_layers_; }
    tap_occasion occasion() const { return occasion_; }
    /// Changes whenever a graph built before does not fit any more.
    uint64_t epoch() const { return epoch_; }
    /// Graphs instrumented so far (a reused graph is not built again).
    uint64_t graphs_built() const { return graphs_built_; }
    /// How often the directions at a site were uploaded to a device: when a graph is new or others are used, not when
    /// strengths change.
    uint64_t direction_uploads() const { return direction_uploads_; }
    void count_direction_uploads(int count) { direction_uploads_ += static_cast<uint64_t>(count); }

    std::unique_ptr<graph_inputs> instrument(const built_graph & graph) override;

private:
    bool takes_part(const tap & target) const { return target.request().occasion == occasion_; }

    int n_layers_;
    uint64_t epoch_ = 0;
    uint64_t graphs_built_ = 0;
    uint64_t direction_uploads_ = 0;
    uint64_t detached_bytes_copied_ = 0;
    std::vector<std::shared_ptr<tap>> taps_;
    tap_occasion occasion_ = tap_occasion::generation;
    steering_plan steering_;
    condition_memory conditions_;
    prefix_identities identities_;
    report_board reports_;
    program_compiler compiler_{conditions_, reports_};
    batch_layout layout_;
    direction_store directions_;
    own_operators operators_;
};

}  // namespace llama_steer
