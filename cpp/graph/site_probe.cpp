#include "graph/site_probe.h"

namespace llama_steer {

namespace {

class no_inputs final : public graph_inputs {
public:
    void set(const micro_batch &) override {}
    bool reusable(const micro_batch &) const override { return true; }
};

}  // namespace

std::unique_ptr<graph_inputs> site_probe::instrument(const built_graph & graph) {
    if (graph.batch.n_tokens == n_tokens && graph.batch.n_outputs == n_tokens) {
        const graph_editor editor(graph);
        found_ = site_map(editor).shapes(n_tokens);
    }
    return std::make_unique<no_inputs>();
}

}  // namespace llama_steer
