#include "graph/instrumentation.h"

#include "graph/steer_nodes.h"
#include "graph/tap_nodes.h"

#include <algorithm>

#include <ggml.h>

namespace llama_steer {

namespace {

/// The taps and interventions of one built graph.
class instrumented_graph final : public graph_inputs {
public:
    instrumented_graph(const instrumentation & owner, const built_graph & graph, graph_editor & editor)
        : owner_(owner), epoch_(owner.epoch()), steering_(owner.steering(), owner.n_layers(), graph, editor) {
        static const std::vector<std::shared_ptr<tap>> none;
        for (const std::shared_ptr<tap> & target : owner.recording() ? owner.taps() : none) {
            taps_.push_back(std::make_unique<tap_nodes>(target, graph, editor, owner.layout()));
        }
        for (const auto & nodes : taps_) {
            nodes->finish(editor);
        }
        editor.commit();
    }

    void set(const micro_batch & batch) override {
        for (const auto & nodes : taps_) {
            nodes->set(batch, owner_.layout());
        }
        steering_.set(batch, owner_.layout(), owner_.steering());
    }

    bool reusable(const micro_batch & batch) const override {
        return epoch_ == owner_.epoch() && steering_.fits(owner_.steering()) &&
               std::all_of(taps_.begin(), taps_.end(),
                           [&](const auto & nodes) { return nodes->reusable(batch, owner_.layout()); });
    }

private:
    const instrumentation & owner_;
    uint64_t epoch_;
    steer_nodes steering_;
    std::vector<std::unique_ptr<tap_nodes>> taps_;
};

}  // namespace

instrumentation::instrumentation(int32_t max_sequences, int n_layers)
    : n_layers_(n_layers), steering_(max_sequences, n_layers), layout_(max_sequences) {}

void instrumentation::attach(std::shared_ptr<tap> target) {
    taps_.push_back(std::move(target));
    ++epoch_;
}

void instrumentation::detach(const std::shared_ptr<tap> & target) {
    const auto found = std::find(taps_.begin(), taps_.end(), target);
    if (found != taps_.end()) {
        taps_.erase(found);
        ++epoch_;
    }
}

void instrumentation::set_recording(bool recording) {
    if (recording != recording_ && !taps_.empty()) {
        ++epoch_;
    }
    recording_ = recording;
}

void instrumentation::set_steering(int32_t sequence, std::shared_ptr<const steering_list> list) {
    if (steering_.set(sequence, std::move(list))) {
        ++epoch_;
    }
}

std::unique_ptr<graph_inputs> instrumentation::instrument(const built_graph & graph) {
    ++graphs_built_;
    graph_editor editor(graph);
    if (graph.batch.n_tokens > sites_tokens_) {
        sites_tokens_ = graph.batch.n_tokens;
        sites_ = editor.sites();
    }
    return std::make_unique<instrumented_graph>(*this, graph, editor);
}

}  // namespace llama_steer
