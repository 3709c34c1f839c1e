// The operators that layers on a device get, run on the host: the same steering and the same rows, by another way.

#include "base/half.h"
#include "check.h"
#include "testbed.h"

#include <algorithm>
#include <cmath>
#include <cstring>
#include <numeric>

using namespace llama_steer;

namespace {

/// Makes the instrumentation take every layer for one on a device.
class pretend_device final : public graph_client {
public:
    explicit pretend_device(instrumentation & inner) : inner_(inner) {}
    std::unique_ptr<graph_inputs> instrument(const built_graph & graph) override {
        built_graph device = graph;
        device.layer_on_host = [](const void *, int) { return false; };
        return inner_.instrument(device);
    }

private:
    instrumentation & inner_;
};

struct outcome {
    std::vector<float> logits;
    std::vector<float> rows;    ///< all of them, at the end
    std::vector<float> chosen;  ///< those of the last prompt token and the answer, step by step
    std::vector<float> heads;   ///< of all rows, from half precision, step by step
};

/// What a tap holds, layer by layer, as floats.
void append_rows(const tap & target, std::vector<float> & to) {
    const auto width = static_cast<size_t>(target.destination().width);
    for (size_t slot = 0; slot < target.layers().size(); ++slot) {
        const size_t count = target.labels(slot).size() * width;
        std::vector<float> floats(count);
        if (target.destination().type == element_type::f16) {
            to_float(reinterpret_cast<const uint16_t *>(target.row(slot, 0)), count, floats.data());
        } else {
            std::memcpy(floats.data(), target.row(slot, 0), count * sizeof(float));
        }
        to.insert(to.end(), floats.begin(), floats.end());
    }
}

/// Two sequences with different lists: a prompt each, then steps with changing strengths and sets.
outcome run(bool device) {
    const model_info & info = testbed::exact_model()->info();
    instrumentation attached(2, info.n_layers);
    pretend_device pretending(attached);
    llama_context_params params = llama_context_default_params();
    params.n_ctx = 512;
    params.n_seq_max = 2;
    params.kv_unified = true;
    params.n_threads = params.n_threads_batch = 1;
    params.type_k = params.type_v = GGML_TYPE_F32;
    params.flash_attn_type = LLAMA_FLASH_ATTN_TYPE_DISABLED;
    params.cb_eval = nullptr;
    params.cb_eval_user_data = device ? static_cast<graph_client *>(&pretending) : &attached;
    const std::unique_ptr<llama_context, void (*)(llama_context *)> context(
        llama_init_from_model(testbed::exact_model()->handle(), params), llama_free);

    std::vector<int> layers(static_cast<size_t>(info.n_layers));
    std::iota(layers.begin(), layers.end(), 0);
    outcome result;
    result.rows.assign(layers.size() * 64 * static_cast<size_t>(info.hidden_size), 0.0F);
    const auto target =
        testbed::make_tap("residual", layers, token_scope::all, result.rows.data(), 64, info.hidden_size);
    const testbed::recording chosen(token_scope::last_prompt_and_generated, 8);
    std::vector<uint16_t> halves(layers.size() * 64 * 128);
    tap_request request;
    request.site = "attention_heads";
    request.layers = layers;
    request.destination = {halves.data(), 64, 128, element_type::f16};
    const auto heads = std::make_shared<tap>(request);
    attached.attach(target);
    attached.attach(chosen.target);
    attached.attach(heads);
    attached.set_occasion(tap_occasion::evaluation);

    const auto a = testbed::directions(1);
    const auto b = testbed::directions(2, {1, 4});
    const auto c = testbed::directions(3, {0, 7});
    int32_t positions[2] = {0, 0};
    for (int step = 0; step < 6; ++step) {
        const float strength = 0.5F + 0.25F * static_cast<float>(step);
        attached.set_steering(0, testbed::steering_of({{a, strength, token_scope::all}, {b, -1.0F, token_scope::all}}));
        attached.set_steering(
            1, testbed::steering_of({{step % 2 == 0 ? c : b, -strength, token_scope::last_prompt_and_generated}}));
        llama_batch batch = llama_batch_init(128, 0, 1);
        attached.layout().clear();
        std::vector<int32_t> outputs;
        for (int32_t sequence = 0; sequence < 2; ++sequence) {
            const std::vector<int32_t> tokens = step == 0 ? testbed::prompt(sequence) : std::vector<int32_t>{40 + step};
            const auto n_tokens = static_cast<int32_t>(tokens.size());
            attached.layout().set(sequence,
                                  {positions[sequence], n_tokens, 0, step > 0, positions[sequence] + n_tokens});
            for (size_t i = 0; i < tokens.size(); ++i) {
                const int32_t k = batch.n_tokens++;
                batch.token[k] = tokens[i];
                batch.pos[k] = positions[sequence]++;
                batch.n_seq_id[k] = 1;
                batch.seq_id[k][0] = sequence;
                batch.logits[k] = i + 1 == tokens.size() ? 1 : 0;
            }
            outputs.push_back(batch.n_tokens - 1);
        }
        for (const std::shared_ptr<tap> & each : attached.taps(tap_occasion::evaluation)) {
            each->clear();
        }
        CHECK_EQ(llama_decode(context.get(), batch), 0);
        for (const int32_t index : outputs) {
            const float * logits = llama_get_logits_ith(context.get(), index);
            result.logits.insert(result.logits.end(), logits, logits + info.vocabulary_size);
        }
        append_rows(*chosen.target, result.chosen);
        append_rows(*heads, result.heads);
        llama_batch_free(batch);
    }
    return result;
}

float largest_difference(const std::vector<float> & a, const std::vector<float> & b) {
    float largest = a.size() == b.size() ? 0.0F : INFINITY;
    for (size_t i = 0; i < std::min(a.size(), b.size()); ++i) {
        largest = std::max(largest, std::fabs(a[i] - b[i]));
    }
    return largest;
}

}  // namespace

TEST(device_operators_steer_and_capture_as_the_host_does) {
    const outcome host = run(false);
    const outcome device = run(true);
    CHECK_NEAR(largest_difference(host.logits, device.logits), 0, 1e-4);
    CHECK_NEAR(largest_difference(host.rows, device.rows), 0, 1e-4);
    CHECK_NEAR(largest_difference(host.chosen, device.chosen), 0, 1e-4);
    CHECK_NEAR(largest_difference(host.heads, device.heads), 0, 1e-2);
    CHECK(!host.chosen.empty() && !host.heads.empty());
    CHECK(*std::max_element(host.rows.begin(), host.rows.end()) > 1.0F);
}
