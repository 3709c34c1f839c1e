// The trained test-bed model, loaded once, and short ways to run it.
#pragma once

#include "engine/engine.h"
#include "model/backend.h"
#include "model/model.h"
#include "model/tokenizer.h"
#include "steering/site_id.h"
#include "test/test_device.h"

#include <cmath>
#include <condition_variable>
#include <filesystem>
#include <future>
#include <map>
#include <memory>
#include <numeric>
#include <random>
#include <stdexcept>
#include <string>
#include <vector>

namespace llama_steer::testbed {

inline std::string path(const std::string & file) { return std::string(LLAMA_STEER_TESTBED) + "/" + file; }

inline std::shared_ptr<const model> chat_model() {
    static const std::shared_ptr<const model> loaded = [] {
        init_backend("");
        return model::load(path("valdoria-chat.gguf"), options_of_test_models());
    }();
    return loaded;
}

/// A model's weights as float32 numbers, converted to a temporary file.
inline std::shared_ptr<const model> in_float32(const std::string & from) {
    init_backend("");
    const std::string file =
        (std::filesystem::temp_directory_path() / ("llama-steer-" + std::to_string(std::random_device{}()) + ".gguf"))
            .string();
    llama_model_quantize_params params = llama_model_quantize_default_params();
    params.ftype = LLAMA_FTYPE_ALL_F32;
    params.allow_requantize = true;
    params.nthread = 1;
    if (llama_model_quantize(from.c_str(), file.c_str(), &params) != 0) {
        throw std::runtime_error("cannot convert " + from);
    }
    std::shared_ptr<const model> converted = model::load(file, options_of_test_models());
    std::filesystem::remove(file);
    return converted;
}

/// The test-bed's model with float32 weights: float16 weights round activations, and that rounding depends on what else
/// is in the batch.
inline std::shared_ptr<const model> exact_model() {
    static const std::shared_ptr<const model> loaded = in_float32(path("valdoria-chat.gguf"));
    return loaded;
}

/// Prompts of different lengths, in the model's chat format.
inline std::vector<int32_t> prompt(int index) {
    static const char * const questions[] = {
        "Where is the lake?",
        "Tell me about the bridge and who built it.",
        "Who?",
        "What is the name of the oldest tower in the north of the country, and how high is it?",
    };
    const std::string text =
        std::string("<|im_start|>user\n") + questions[index % 4] + "<|im_end|>\n<|im_start|>assistant\n";
    return tokenize(*chat_model(), text, {false, true});
}

/// Random numbers that are the same everywhere.
class generator {
public:
    explicit generator(uint64_t seed) : state_(seed) {}
    float operator()() {  // in [-1, 1)
        state_ = state_ * 6364136223846793005ULL + 1442695040888963407ULL;
        return static_cast<float>(static_cast<int32_t>(state_ >> 33) - (1 << 30)) / static_cast<float>(1 << 30);
    }

private:
    uint64_t state_;
};

/// A direction for every layer of the model (or the given ones), of a size that visibly changes the logits.
inline std::shared_ptr<const direction_set> directions(uint64_t seed, std::vector<int> layers = {}) {
    const model_info & info = chat_model()->info();
    if (layers.empty()) {
        layers.resize(static_cast<size_t>(info.n_layers));
        std::iota(layers.begin(), layers.end(), 0);
    }
    std::vector<float> data(layers.size() * static_cast<size_t>(info.hidden_size));
    generator random(seed);
    for (float & value : data) {
        value = 0.05F * random();
    }
    return std::make_shared<const direction_set>(data.data(), info.hidden_size, layers, info.n_layers);
}

/// Options under which upstream's own arithmetic does not depend on what else is in a batch (with float32 weights).
inline context_options exact_options(int32_t sequences, int32_t size = 256) {
    context_options result;
    result.max_sequences = sequences;
    result.context_size = size;
    result.threads = 1;
    result.float32_memory = true;
    result.attention = flash_attention::off;
    return result;
}

/// Adds strength * directions to the residual of some tokens.
struct steering_term {
    std::shared_ptr<const direction_set> directions;
    float strength;
    token_selector tokens;
};

inline std::shared_ptr<const steering_list> steering_of(const std::vector<steering_term> & terms) {
    auto list = std::make_shared<steering_list>();
    for (const steering_term & each : terms) {
        intervention_request request;
        request.site = site_id("residual");
        request.directions = each.directions;
        request.tokens = each.tokens;
        request.numbers.strength = schedule::constant(static_cast<double>(each.strength));
        list->push_back(std::make_shared<intervention>(std::move(request)));
    }
    return list;
}

/// A tap on float32 memory of [layers][capacity][width].
inline std::shared_ptr<tap> make_tap(const std::string & site, std::vector<int> layers, token_selector rows,
                                     float * data, int64_t capacity, int64_t width) {
    tap_request request;
    request.site = site;
    request.layers = std::move(layers);
    request.rows = std::move(rows);
    request.destination = {data, capacity, width, element_type::f32};
    return std::make_shared<tap>(std::move(request));
}

inline std::vector<int> all_layers(const model & source = *chat_model()) {
    std::vector<int> layers(static_cast<size_t>(source.info().n_layers));
    std::iota(layers.begin(), layers.end(), 0);
    return layers;
}

/// Memory for a capture at all layers, as a caller would own it, and the tap on it.
struct recording {
    recording(token_selector rows, int64_t capacity, const std::string & site = "residual",
              const model & source = *chat_model())
        : width(source.sites().at(site).begin()->second.width) {
        for (const auto & [layer, shape] : source.sites().at(site)) {
            layers.push_back(layer);
        }
        memory.assign(layers.size() * static_cast<size_t>(capacity * width), NAN);
        target = make_tap(site, layers, std::move(rows), memory.data(), capacity, width);
    }

    const float * row(size_t slot, int64_t index) const {
        return reinterpret_cast<const float *>(target->row(slot, index));
    }

    std::vector<int> layers;
    int64_t width;
    std::vector<float> memory;
    std::shared_ptr<tap> target;
};

/// An engine whose calls wait for their result.
class waiting_engine {
public:
    explicit waiting_engine(const context_options & options, std::shared_ptr<const model> source = chat_model(),
                            live_source live = nullptr)
        : engine_(
              std::move(source), options, [this](step_events && events) { receive(std::move(events)); },
              std::move(live)) {}

    engine & get() { return engine_; }

    evaluate_result evaluate(std::vector<evaluate_entry> entries, std::vector<float> * logits = nullptr) {
        evaluate_request request;
        request.entries = std::move(entries);
        request.logits = logits != nullptr ? logits->data() : nullptr;
        request.logits_capacity = logits != nullptr ? logits->size() : 0;
        auto promise = std::make_shared<std::promise<evaluate_result>>();
        engine_.evaluate(std::move(request), [promise](evaluate_result && result, std::exception_ptr failure) {
            failure ? promise->set_exception(failure) : promise->set_value(std::move(result));
        });
        return promise->get_future().get();
    }

    void steer(int32_t sequence, std::shared_ptr<const steering_list> list) {
        wait([&](operation_done done) { engine_.set_steering(sequence, std::move(list), std::move(done)); });
    }
    void steer(int32_t sequence, const std::vector<steering_term> & terms) { steer(sequence, steering_of(terms)); }
    void set_numbers(const std::shared_ptr<intervention> & target, const intervention_numbers & numbers) {
        wait([&](operation_done done) { engine_.set_numbers(target, numbers, std::move(done)); });
    }
    int32_t share_prefix(int32_t sequence, const std::vector<int32_t> & prompt) {
        auto promise = std::make_shared<std::promise<int32_t>>();
        engine_.share_prefix(sequence, prompt, [promise](int32_t count, std::exception_ptr failure) {
            failure ? promise->set_exception(failure) : promise->set_value(count);
        });
        return promise->get_future().get();
    }
    void truncate(int32_t sequence, int32_t position) {
        wait([&](operation_done done) { engine_.truncate(sequence, position, std::move(done)); });
    }
    void attach(const std::shared_ptr<tap> & target) {
        wait([&](operation_done done) { engine_.attach(target, std::move(done)); });
    }
    void detach(const std::shared_ptr<tap> & target) {
        wait([&](operation_done done) { engine_.detach(target, std::move(done)); });
    }

    /// Tokens of a generation once it has ended; rethrows its failure.
    std::vector<int32_t> finish(operation_id id) {
        std::unique_lock<std::mutex> lock(mutex_);
        ended_.wait(lock, [&] { return ends_.count(id) > 0; });
        if (ends_[id].failure) {
            std::rethrow_exception(ends_[id].failure);
        }
        return tokens_[id];
    }

    /// The labels of what a finished generation's capture holds.
    capture_labels captured(operation_id id) {
        finish(id);
        const std::lock_guard<std::mutex> lock(mutex_);
        return ends_[id].captured.value();
    }

    /// What its interventions reported, token by token.
    std::vector<std::vector<projection_report>> projections(operation_id id) {
        finish(id);
        const std::lock_guard<std::mutex> lock(mutex_);
        return projections_[id];
    }

    /// Waits until a generation has brought `count` tokens.
    void await_tokens(operation_id id, size_t count) {
        std::unique_lock<std::mutex> lock(mutex_);
        ended_.wait(lock, [&] { return tokens_[id].size() >= count || ends_.count(id) > 0; });
    }

    template <typename starter>
    static void wait(starter start) {
        auto promise = std::make_shared<std::promise<void>>();
        start([promise](std::exception_ptr failure) {
            failure ? promise->set_exception(failure) : promise->set_value();
        });
        promise->get_future().get();
    }

private:
    void receive(step_events && events) {
        const std::lock_guard<std::mutex> lock(mutex_);
        for (const generated_token & each : events.tokens) {
            tokens_[each.generation].push_back(each.token.chosen.token);
            projections_[each.generation].push_back(each.token.projections);
        }
        for (generation_end & each : events.ends) {
            ends_[each.generation] = std::move(each);
        }
        ended_.notify_all();
    }

    std::mutex mutex_;
    std::condition_variable ended_;
    std::map<operation_id, std::vector<int32_t>> tokens_;
    std::map<operation_id, std::vector<std::vector<projection_report>>> projections_;
    std::map<operation_id, generation_end> ends_;
    engine engine_;  // last: its thread uses the others
};

}  // namespace llama_steer::testbed
