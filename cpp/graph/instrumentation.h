#pragma once

#include "base/batch_layout.h"
#include "capture/tap.h"
#include "graph/graph_editor.h"
#include "graph/seam.h"
#include "steering/steering_plan.h"

#include <map>
#include <memory>
#include <string>
#include <vector>

namespace llama_steer {

/// All that is attached to the graphs of one context: its taps and the steering of its sequences. Lives at least as
/// long as the llama_context that carries its address. Used on the decoding thread only.
class instrumentation final : public graph_client {
public:
    instrumentation(int32_t max_sequences, int n_layers);

    /// Attaches a tap; the next graph is rebuilt with it.
    void attach(std::shared_ptr<tap> target);
    /// Detaches it; its destination is not written from the next decode on.
    void detach(const std::shared_ptr<tap> & target);
    const std::vector<std::shared_ptr<tap>> & taps() const { return taps_; }
    /// Whether the taps take part in the next decodes.
    void set_recording(bool recording);
    bool recording() const { return recording_; }

    void set_steering(int32_t sequence, std::shared_ptr<const steering_list> list);
    const steering_plan & steering() const { return steering_; }

    /// The batch that is about to be decoded; filled by the caller before every decode.
    batch_layout & layout() { return layout_; }
    const batch_layout & layout() const { return layout_; }

    /// Named nodes with token rows. Taken from the largest graph that creating a context builds: where every sequence
    /// has one token, other nodes look as if they had a row for each.
    const std::map<std::string, graph_editor::site_info> & sites() const { return sites_; }

    int n_layers() const { return n_layers_; }
    /// Changes whenever a graph built before does not fit any more.
    uint64_t epoch() const { return epoch_; }
    /// Graphs instrumented so far (a reused graph is not built again).
    uint64_t graphs_built() const { return graphs_built_; }

    std::unique_ptr<graph_inputs> instrument(const built_graph & graph) override;

private:
    int n_layers_;
    uint64_t epoch_ = 0;
    uint64_t graphs_built_ = 0;
    std::vector<std::shared_ptr<tap>> taps_;
    bool recording_ = false;
    steering_plan steering_;
    batch_layout layout_;
    std::map<std::string, graph_editor::site_info> sites_;
    int32_t sites_tokens_ = 0;  ///< tokens of the graph they were taken from
};

}  // namespace llama_steer
