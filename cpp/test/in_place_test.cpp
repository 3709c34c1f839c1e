// That a capture costs no copy: the graph's own node lies in the caller's memory.

#include "check.h"
#include "graph/site_name.h"
#include "reference.h"
#include "testbed.h"

#include <ggml.h>

#include <set>
#include <string>

using namespace llama_steer;

namespace {

/// Watches the graphs of an instrumented context: what they consist of, and where their nodes lie when they run.
class observer final : public graph_client {
public:
    explicit observer(instrumentation & inner) : inner_(inner) {}

    std::unique_ptr<graph_inputs> instrument(const built_graph & graph) override {
        nodes_before = ggml_graph_n_nodes(graph.graph);
        std::unique_ptr<graph_inputs> inputs = inner_.instrument(graph);
        nodes_after = ggml_graph_n_nodes(graph.graph);
        graph_ = graph.graph;
        return std::make_unique<watched>(*this, std::move(inputs));
    }

    int nodes_before = 0;
    int nodes_after = 0;
    std::map<int, const void *> residual_data;  ///< by layer, when the last micro-batch ran

private:
    class watched final : public graph_inputs {
    public:
        watched(observer & owner, std::unique_ptr<graph_inputs> inner) : owner_(owner), inner_(std::move(inner)) {}
        void set(const micro_batch & batch) override {
            inner_->set(batch);
            for (int i = 0; i < ggml_graph_n_nodes(owner_.graph_); ++i) {
                const ggml_tensor * node = ggml_graph_node(owner_.graph_, i);
                const site_name name = parse_site_name(ggml_get_name(node));
                if (name.name == "l_out") {
                    owner_.residual_data[name.layer] = node->data;
                }
            }
        }
        bool reusable(const micro_batch & batch) const override { return inner_->reusable(batch); }

    private:
        observer & owner_;
        std::unique_ptr<graph_inputs> inner_;
    };

    instrumentation & inner_;
    ggml_cgraph * graph_ = nullptr;
};

}  // namespace

TEST(the_graph_writes_straight_into_the_captures_memory) {
    if (testbed::on_device()) {
        return;  // rows have to leave the device
    }
    const model_info & info = testbed::chat_model()->info();
    instrumentation attached(1, info.n_layers);
    observer watching(attached);
    llama_context_params params = llama_context_default_params();
    params.n_ctx = 256;
    params.n_threads = params.n_threads_batch = 1;
    params.cb_eval = nullptr;
    params.cb_eval_user_data = static_cast<graph_client *>(&watching);
    const std::unique_ptr<llama_context, void (*)(llama_context *)> context(
        llama_init_from_model(testbed::chat_model()->handle(), params), llama_free);
    const int plain_nodes = watching.nodes_before;
    CHECK_EQ(watching.nodes_after, plain_nodes);

    std::vector<int> layers(static_cast<size_t>(info.n_layers));
    std::iota(layers.begin(), layers.end(), 0);
    constexpr int64_t capacity = 40;
    std::vector<float> memory(layers.size() * capacity * static_cast<size_t>(info.hidden_size));
    const auto target =
        testbed::make_tap("residual", layers, token_scope::all, memory.data(), capacity, info.hidden_size);
    attached.attach(target);
    attached.set_occasion(tap_occasion::evaluation);

    int32_t position = 0;
    const auto decode = [&](std::vector<int32_t> tokens, bool begin) {
        attached.layout().clear();
        attached.layout().set(0, {position, static_cast<int32_t>(tokens.size()), 0, false, -1});
        if (begin) {
            target->clear();
        }
        llama_batch batch = llama_batch_get_one(tokens.data(), static_cast<int32_t>(tokens.size()));
        CHECK_EQ(llama_decode(context.get(), batch), 0);
        position += static_cast<int32_t>(tokens.size());
    };

    decode(testbed::prompt(0), true);
    // Not one node more than without the capture: nothing copies, nothing gathers.
    CHECK_EQ(watching.nodes_before, plain_nodes);
    CHECK_EQ(watching.nodes_after, watching.nodes_before);
    for (const int layer : layers) {
        CHECK(watching.residual_data[layer] == target->row(static_cast<size_t>(layer), 0));
    }

    // Further passes of an evaluation go on where the last one ended, in a reused graph.
    decode({20}, true);
    const uint64_t built = attached.graphs_built();
    for (int64_t row = 1; row < 4; ++row) {
        decode({static_cast<int32_t>(20 + row)}, false);
        for (const int layer : layers) {
            CHECK(watching.residual_data[layer] == target->row(static_cast<size_t>(layer), row));
        }
    }
    CHECK_EQ(attached.graphs_built(), built);
    CHECK_EQ(attached.bytes_copied(), 0U);
}
