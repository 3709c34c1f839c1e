// What llama.cpp's scheduler and a device are made to do for plain sums: where operators run, what is copied, what can
// be fused. On a device that is the host in disguise (fake_device.h).

#include "check.h"
#include "fake_device.h"
#include "synthetic_models.h"
#include "testbed.h"

#include <cstring>

using namespace llama_steer;

namespace {

/// A tiny model with all layers on the fake device (or none), and a context whose sequences can be steered.
class fixture {
public:
    fixture(const std::string & architecture, bool on_device, int32_t sequences = 4)
        : sequences_(sequences), model_(nullptr, llama_model_free), context_(nullptr, llama_free) {
        init_backend("");
        const synthetic::temporary_path path;
        synthetic::write_model(synthetic::preset("tiny", architecture), path.string());
        ggml_backend_dev_t devices[] = {testbed::fake_device::device(), nullptr};
        ggml_backend_dev_t none[] = {nullptr};
        llama_model_params how = llama_model_default_params();
        how.devices = on_device ? devices : none;
        how.n_gpu_layers = on_device ? 99 : 0;
        model_.reset(llama_model_load_from_file(path.string().c_str(), how));
        steering_ = std::make_unique<instrumentation>(sequences, llama_model_n_layer(model_.get()));
        llama_context_params params = llama_context_default_params();
        params.n_ctx = 256;
        params.n_seq_max = static_cast<uint32_t>(sequences);
        params.kv_unified = true;
        params.n_threads = params.n_threads_batch = 1;
        params.type_k = params.type_v = GGML_TYPE_F32;
        params.flash_attn_type = LLAMA_FLASH_ATTN_TYPE_DISABLED;
        params.cb_eval_user_data = static_cast<graph_client *>(steering_.get());
        context_.reset(llama_init_from_model(model_.get(), params));
    }

    int layers() const { return llama_model_n_layer(model_.get()); }
    int64_t width() const { return llama_model_n_embd(model_.get()); }
    instrumentation & steering() { return *steering_; }

    std::shared_ptr<const direction_set> directions(uint64_t seed) const {
        std::vector<float> data(static_cast<size_t>(layers() * width()));
        testbed::generator random(seed);
        for (float & value : data) {
            value = 0.05F * random();
        }
        std::vector<int> all(static_cast<size_t>(layers()));
        std::iota(all.begin(), all.end(), 0);
        return std::make_shared<const direction_set>(data.data(), width(), all, layers());
    }

    /// One token of every sequence; the logits of all.
    std::vector<float> step(int32_t position) {
        llama_batch batch = llama_batch_init(sequences_, 0, 1);
        steering_->layout().clear();
        for (int32_t sequence = 0; sequence < sequences_; ++sequence) {
            const int32_t token = 20 + position + sequence;
            steering_->layout().set(sequence, {position, 1, 0, true, -1}, &token);
            batch.token[sequence] = token;
            batch.pos[sequence] = position;
            batch.n_seq_id[sequence] = 1;
            batch.seq_id[sequence][0] = sequence;
            batch.logits[sequence] = 1;
        }
        batch.n_tokens = sequences_;
        CHECK_EQ(llama_decode(context_.get(), batch), 0);
        llama_batch_free(batch);
        const auto count = static_cast<size_t>(sequences_ * llama_vocab_n_tokens(llama_model_get_vocab(model_.get())));
        const float * logits = llama_get_logits(context_.get());
        return std::vector<float>(logits, logits + count);
    }

private:
    int32_t sequences_;
    std::unique_ptr<llama_model, void (*)(llama_model *)> model_;
    std::unique_ptr<instrumentation> steering_;
    std::unique_ptr<llama_context, void (*)(llama_context *)> context_;
};

bool same_bits(const std::vector<float> & a, const std::vector<float> & b) {
    return a.size() == b.size() && std::memcmp(a.data(), b.data(), a.size() * sizeof(float)) == 0;
}

}  // namespace

TEST(sums_on_a_device_split_no_graph_and_need_one_upload_more) {
    fixture target("qwen3", true);
    target.step(0);
    testbed::fake_device::take_work();
    target.step(1);
    const testbed::device_work plain = testbed::fake_device::take_work();
    CHECK_EQ(plain.graphs, 1);
    CHECK_EQ(plain.fused_sums + plain.separate_sums, 0);

    for (int32_t sequence = 0; sequence < 4; ++sequence) {
        target.steering().set_steering(
            sequence,
            testbed::steering_of({{target.directions(1 + static_cast<uint64_t>(sequence)), 1.0F, token_scope::all}}));
    }
    target.step(2);
    testbed::fake_device::take_work();
    target.step(3);
    const testbed::device_work steered = testbed::fake_device::take_work();
    CHECK_EQ(steered.graphs, 1);
    CHECK_EQ(steered.uploads, plain.uploads + 1);
    // A strength for each row, and a slot for each row and layer; no directions.
    CHECK_EQ(steered.bytes - plain.bytes, static_cast<size_t>(4 * 4 * (1 + target.layers())));
    CHECK_EQ(steered.fused_sums, target.layers());
    CHECK_EQ(steered.separate_sums, 0);
}

TEST(sums_on_a_device_are_fused_in_every_architecture_whose_blocks_end_with_a_sum) {
    for (const std::string & architecture : synthetic::architecture_names()) {
        fixture target(architecture, true);
        target.steering().set_steering(0, testbed::steering_of({{target.directions(1), 1.0F, token_scope::all},
                                                                {target.directions(2), -0.5F, token_scope::all}}));
        target.step(0);
        testbed::fake_device::take_work();
        target.step(1);
        const testbed::device_work work = testbed::fake_device::take_work();
        CHECK_EQ(work.graphs, 1);
        CHECK_EQ(work.fused_sums, 2 * target.layers());
        CHECK_EQ(work.separate_sums, 0);
    }
}

TEST(sums_on_a_device_have_the_bits_of_the_host) {
    fixture device("qwen3", true);
    fixture host("qwen3", false);
    testbed::fake_device::take_work();
    const auto a = device.directions(1);
    const auto b = device.directions(2);
    const auto c = device.directions(3);
    const std::vector<float> unsteered = fixture("qwen3", false).step(0);
    for (int32_t step = 0; step < 6; ++step) {
        const float strength = 0.5F + 0.25F * static_cast<float>(step);
        for (fixture * each : {&device, &host}) {
            instrumentation & steering = each->steering();
            // Sets come and go, one list has several, two sequences share one, and one is not steered.
            steering.set_steering(0, testbed::steering_of({{step < 3 ? a : b, strength, token_scope::all}}));
            steering.set_steering(1, testbed::steering_of({{b, -strength, token_scope::all},
                                                           {step == 4 ? c : a, 2.0F, token_scope::all}}));
            steering.set_steering(2, step % 2 == 0 ? testbed::steering_of({{c, strength, token_scope::all}}) : nullptr);
        }
        const std::vector<float> got = device.step(step);
        CHECK(same_bits(got, host.step(step)));
        CHECK(step > 0 || !same_bits(got, unsteered));
    }
}

TEST(directions_on_a_device_are_uploaded_once) {
    fixture target("qwen3", true);
    const auto set = target.directions(1);
    const auto steer = [&](std::shared_ptr<const direction_set> directions, float strength) {
        target.steering().set_steering(0, testbed::steering_of({{std::move(directions), strength, token_scope::all}}));
    };
    const auto bytes_of_step = [&](int32_t position) {
        testbed::fake_device::take_work();
        target.step(position);
        return testbed::fake_device::take_work().bytes;
    };
    steer(set, 1.0F);
    bytes_of_step(0);
    const size_t constant = bytes_of_step(1);
    steer(set, 2.0F);
    CHECK_EQ(bytes_of_step(2), constant);
    steer(target.directions(1), 2.0F);  // equal contents
    CHECK_EQ(bytes_of_step(3), constant);
    steer(target.directions(2), 2.0F);
    CHECK_EQ(bytes_of_step(4), constant + static_cast<size_t>(target.layers() * target.width()) * sizeof(float));
}
