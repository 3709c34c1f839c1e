#include "graph/instrumentation.h"

#include "graph/attention_nodes.h"
#include "graph/product_nodes.h"
#include "graph/site_map.h"
#include "graph/steer_nodes.h"
#include "graph/tap_nodes.h"

#include <algorithm>

#include <ggml.h>

namespace llama_steer {

namespace {

/// A tap and the tensors of its site, one per captured layer.
struct located_tap {
    std::shared_ptr<tap> target;
    std::vector<ggml_tensor *> sites;
};

std::vector<located_tap> locate(const std::vector<std::shared_ptr<tap>> & taps, const graph_editor & editor) {
    site_map map(editor);
    std::vector<located_tap> located;
    for (const std::shared_ptr<tap> & target : taps) {
        located.push_back({target, {}});
        for (const int layer : target->layers()) {
            located.back().sites.push_back(map.find(target->request().site, layer));
        }
    }
    return located;
}

/// The taps and interventions of one built graph.
class instrumented_graph final : public graph_inputs {
public:
    /// `taps` were located before anything was inserted, which changes who reads what.
    instrumented_graph(instrumentation & owner, const std::vector<located_tap> & taps, const built_graph & graph,
                       graph_editor & editor)
        : owner_(owner),
          epoch_(owner.epoch()),
          attention_(owner.operators(), graph, editor),
          steering_(owner.steering(), graph, editor, owner.directions()) {
        for (const located_tap & each : taps) {
            taps_.push_back(std::make_unique<tap_nodes>(each.target, each.sites, graph, editor, owner.layout()));
        }
        for (const auto & nodes : taps_) {
            nodes->finish(editor);
        }
        replace_products(owner.operators(), graph, editor);
        editor.commit();
    }

    void set(const micro_batch & batch) override {
        attention_.set(batch);
        for (const auto & nodes : taps_) {
            nodes->set(batch, owner_.layout());
        }
        owner_.count_direction_uploads(steering_.set(batch, owner_.layout(), owner_.steering(), owner_.compiler()));
    }

    bool reusable(const micro_batch & batch) const override {
        return epoch_ == owner_.epoch() && steering_.fits(owner_.steering()) &&
               std::all_of(taps_.begin(), taps_.end(),
                           [&](const auto & nodes) { return nodes->reusable(batch, owner_.layout()); });
    }

private:
    instrumentation & owner_;
    uint64_t epoch_;
    attention_nodes attention_;
    steer_nodes steering_;
    std::vector<std::unique_ptr<tap_nodes>> taps_;
};

}  // namespace

instrumentation::instrumentation(int32_t max_sequences, int n_layers)
    : n_layers_(n_layers),
      steering_(max_sequences),
      conditions_(max_sequences),
      identities_(max_sequences),
      layout_(max_sequences) {}

void instrumentation::attach(std::shared_ptr<tap> target) {
    epoch_ += takes_part(*target) ? 1 : 0;
    taps_.push_back(std::move(target));
}

void instrumentation::detach(const std::shared_ptr<tap> & target) {
    const auto found = std::find(taps_.begin(), taps_.end(), target);
    if (found != taps_.end()) {
        taps_.erase(found);
        epoch_ += takes_part(*target) ? 1 : 0;
        detached_bytes_copied_ += target->bytes_copied();
    }
}

void instrumentation::set_occasion(tap_occasion occasion) {
    if (occasion != occasion_ && !taps_.empty()) {
        ++epoch_;
    }
    occasion_ = occasion;
}

std::vector<std::shared_ptr<tap>> instrumentation::taps(tap_occasion occasion) const {
    std::vector<std::shared_ptr<tap>> result;
    std::copy_if(taps_.begin(), taps_.end(), std::back_inserter(result),
                 [&](const auto & each) { return each->request().occasion == occasion; });
    return result;
}

uint64_t instrumentation::bytes_copied() const {
    uint64_t bytes = detached_bytes_copied_;
    for (const std::shared_ptr<tap> & each : taps_) {
        bytes += each->bytes_copied();
    }
    return bytes;
}

void instrumentation::set_steering(int32_t sequence, std::shared_ptr<const steering_list> list) {
    if (const steering_list * old = steering_.list(sequence)) {
        for (const std::shared_ptr<intervention> & each : *old) {
            reports_.forget(each->id());
        }
    }
    if (steering_.set(sequence, std::move(list))) {
        ++epoch_;
    }
}

std::unique_ptr<graph_inputs> instrumentation::instrument(const built_graph & graph) {
    ++graphs_built_;
    graph_editor editor(graph);
    const std::vector<located_tap> located = locate(taps(occasion_), editor);
    auto made = std::make_unique<instrumented_graph>(*this, located, graph, editor);
    directions_.release_unused();
    return made;
}

}  // namespace llama_steer
