// The operators that layers on a device get, run on the host: the same steering and the same rows, by another way.

#include "base/half.h"
#include "check.h"
#include "recipes.h"
#include "testbed.h"

#include <algorithm>
#include <cmath>
#include <cstring>
#include <functional>
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
    std::vector<float> rows;        ///< all of them, at the end
    std::vector<float> chosen;      ///< those of the last prompt token and the answer, step by step
    std::vector<float> heads;       ///< of all rows, from half precision, step by step
    std::vector<uint64_t> uploads;  ///< of directions, after every step
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

/// Steers two sequences before a step.
using script = std::function<void(instrumentation & attached, int step)>;

/// Two sequences: a prompt each, then single tokens.
outcome run(bool device, const script & steer) {
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

    int32_t positions[2] = {0, 0};
    for (int step = 0; step < 6; ++step) {
        steer(attached, step);
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
        result.uploads.push_back(attached.direction_uploads());
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

/// Both ways, and that all they give agrees.
std::pair<outcome, outcome> check_same(const script & steer) {
    std::pair<outcome, outcome> both = {run(false, steer), run(true, steer)};
    const auto & [host, device] = both;
    CHECK_NEAR(largest_difference(host.logits, device.logits), 0, 1e-4);
    CHECK_NEAR(largest_difference(host.rows, device.rows), 0, 1e-4);
    CHECK_NEAR(largest_difference(host.chosen, device.chosen), 0, 1e-4);
    CHECK_NEAR(largest_difference(host.heads, device.heads), 0, 1e-2);
    CHECK(!host.chosen.empty() && !host.heads.empty());
    CHECK_EQ(host.uploads.back(), 0U);
    return both;
}

/// An intervention on the test-bed model.
std::shared_ptr<intervention> make(const recipes::recipe & what, const std::string & site, std::vector<int> layers,
                                   uint64_t seed, std::shared_ptr<const condition> when = nullptr) {
    const model & source = *testbed::exact_model();
    const int64_t width = source.sites().at(site).begin()->second.width;
    intervention_request request =
        recipes::described(what, site, std::move(layers), width, source.info().n_layers, seed).request();
    request.when = std::move(when);
    return std::make_shared<intervention>(std::move(request));
}

std::shared_ptr<const condition> when_measured(int layer, condition_latch latch) {
    const model_info & info = testbed::exact_model()->info();
    condition_probe leaf;
    leaf.site = site_id("residual");
    leaf.layer = layer;
    leaf.direction =
        recipes::described({operation::observe, 1}, "residual", {layer}, info.hidden_size, info.n_layers, 90)
            .directions();
    leaf.latch = latch;
    return std::make_shared<const condition>(leaf);
}

void steer_with(instrumentation & attached, int32_t sequence, steering_list list) {
    attached.set_steering(sequence, std::make_shared<const steering_list>(std::move(list)));
}

}  // namespace

/// Changing strengths and sets.
TEST(device_operators_steer_and_capture_as_the_host_does) {
    const auto a = testbed::directions(1);
    const auto b = testbed::directions(2, {1, 4});
    const auto c = testbed::directions(3, {0, 7});
    const auto [host, device] = check_same([&](instrumentation & attached, int step) {
        const float strength = 0.5F + 0.25F * static_cast<float>(step);
        attached.set_steering(0, testbed::steering_of({{a, strength, token_scope::all}, {b, -1.0F, token_scope::all}}));
        attached.set_steering(
            1, testbed::steering_of({{step % 2 == 0 ? c : b, -strength, token_scope::last_prompt_and_generated}}));
    });
    CHECK(*std::max_element(host.rows.begin(), host.rows.end()) > 1.0F);
    CHECK(device.uploads.back() > device.uploads.front());
}

TEST(device_operators_add_at_several_sites) {
    const std::vector<int> all = testbed::all_layers();
    check_same([&](instrumentation & attached, int step) {
        const double strength = 0.3 + 0.1 * step;
        steer_with(attached, 0,
                   {make({operation::add, 2, strength}, "residual", all, 1),
                    make({operation::add, 1, -0.4}, "mlp_out", {0, 3, 7}, 2),
                    make({operation::add, 1, 0.5}, "attention_heads", {2, 5}, 3)});
        steer_with(attached, 1,
                   {make({operation::add, 1, 0.2}, "attention_out", {1, 2}, 4),
                    make({operation::add, 3, strength, 0, 0, false, true}, "residual_mid", {4}, 5),
                    make({operation::add, 1, 0.6}, "mlp_out", {3}, 6)});
    });
}

/// Where anything but sums acts at a place, its rows come to the host for all of it; the places beside keep their sums.
TEST(device_operators_go_with_other_operations_and_conditions) {
    const std::vector<int> all = testbed::all_layers();
    const std::shared_ptr<const condition> of_token = when_measured(1, condition_latch::token);
    const std::shared_ptr<const condition> of_prompt = when_measured(0, condition_latch::prompt_mean);
    check_same([&](instrumentation & attached, int step) {
        const double strength = 0.3 + 0.1 * step;
        steer_with(attached, 0,
                   {make({operation::add, 1, strength}, "residual", all, 1),
                    make({operation::ablate, 3, 1}, "residual", {2, 7}, 2),
                    make({operation::add, 1, 0.5}, "residual", {3}, 3, of_token),
                    make({operation::rotate, 2, strength}, "attention_out", {5}, 4),
                    make({operation::add, 2, -0.5}, "mlp_out", {1, 4}, 5)});
        if (step != 3) {  // and the sums alone, for once
            steer_with(attached, 1,
                       {make({operation::clamp, 2, 1, -0.1F, 0.1F}, "mlp_out", {1}, 6),
                        make({operation::add, 1, 0.8, 0, 0, true}, "residual_mid", {6}, 7, of_prompt),
                        make({operation::add, 1, strength}, "residual_mid", {2, 6}, 8),
                        make({operation::affine, 3, 0.5, 0, 0, false, false, true}, "attention_heads", {3}, 9)});
        } else {
            attached.set_steering(1, nullptr);
        }
    });
}

/// Strengths are uploaded for every pass, directions when others are used, and not for a new graph.
TEST(device_operators_upload_directions_only_when_they_change) {
    const auto a = testbed::directions(1);
    const auto b = testbed::directions(2, {1, 4});
    const auto uploads = [](const script & steer) { return run(true, steer).uploads; };
    const std::vector<uint64_t> same = uploads([&](instrumentation & attached, int step) {
        attached.set_steering(0, testbed::steering_of({{a, 0.1F * static_cast<float>(step + 1), token_scope::all}}));
        attached.set_steering(1, testbed::steering_of({{b, 0.2F, token_scope::all}}));
    });
    // A graph for prompts and one for single tokens.
    CHECK_EQ(same.front(), 1U);
    CHECK_EQ(same.back(), 1U);
    const std::vector<uint64_t> others = uploads([&](instrumentation & attached, int step) {
        attached.set_steering(0,
                              testbed::steering_of({{step < 3 ? a : testbed::directions(7), 0.5F, token_scope::all}}));
        attached.set_steering(1, testbed::steering_of({{b, 0.2F, token_scope::all}}));
    });
    CHECK_EQ(others[2], 1U);
    CHECK_EQ(others[3], 2U);
    CHECK_EQ(others.back(), 2U);
    // Equal vectors in other objects are the same directions.
    const std::vector<uint64_t> equal = uploads([&](instrumentation & attached, int) {
        attached.set_steering(0, testbed::steering_of({{testbed::directions(5), 0.5F, token_scope::all}}));
        attached.set_steering(1, nullptr);
    });
    CHECK_EQ(equal.back(), 1U);
}
