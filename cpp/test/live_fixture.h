// Sequences of a tiny model whose strengths a function tells, and one that writes down what it is asked.
#pragma once

#include "check.h"
#include "recipes.h"
#include "synthetic_models.h"
#include "testbed.h"

#include <cmath>
#include <functional>
#include <memory>
#include <mutex>
#include <numeric>
#include <utility>
#include <vector>

namespace llama_steer::live {

constexpr int place_layer = 1;
using interrupted_probe = std::function<bool()>;

inline const std::shared_ptr<const model> & tiny() {
    static const std::shared_ptr<const model> loaded = synthetic::tiny_model("llama");
    return loaded;
}

inline context_options options(int32_t sequences, int32_t batch = 512) {
    context_options result;
    result.max_sequences = sequences;
    result.context_size = 256;
    result.batch_size = batch;
    result.threads = 1;
    result.float32_memory = true;
    result.attention = flash_attention::off;
    return result;
}

inline recipes::described addition() {
    return {{operation::add, 1, 1}, "residual", {place_layer}, tiny()->info().hidden_size, tiny()->info().n_layers, 31};
}

inline std::shared_ptr<intervention> live_intervention() {
    intervention_request request = addition().request();
    request.live = true;
    return std::make_shared<intervention>(request);
}

inline std::shared_ptr<const steering_list> live_list() {
    return std::make_shared<const steering_list>(steering_list{live_intervention()});
}

inline std::vector<int32_t> tokens_from(int32_t first, int32_t count) {
    std::vector<int32_t> tokens(static_cast<size_t>(count));
    std::iota(tokens.begin(), tokens.end(), first);
    return tokens;
}

inline evaluate_entry entry(int32_t sequence, std::vector<int32_t> tokens, bool generated = false) {
    evaluate_entry made;
    made.sequence = sequence;
    made.tokens = std::move(tokens);
    made.generated = generated;
    made.logits = logits_rows::all;
    return made;
}

inline generate_request request(int32_t sequence, int32_t first, int32_t count, int32_t max_tokens) {
    generate_request made;
    made.sequence = sequence;
    made.prompt = tokens_from(first, count);
    made.max_tokens = max_tokens;
    return made;
}

/// Writes down what it is asked, and answers by a rule.
class recorder {
public:
    struct question {
        int32_t sequence;
        int32_t position;
        int64_t step;
        bool generated;
        int32_t token;
        double answer;
    };
    explicit recorder(std::function<double(const live_request &)> rule) : rule_(std::move(rule)) {}

    live_source source() {
        return [this](const std::vector<live_request> & requests, const interrupted_probe &) {
            const std::lock_guard<std::mutex> lock(mutex_);
            calls_.emplace_back();
            std::vector<double> answers;
            for (const live_request & each : requests) {
                answers.push_back(rule_(each));
                calls_.back().push_back(
                    {each.sequence, each.position, each.step, each.generated, each.token, answers.back()});
            }
            return answers;
        };
    }
    std::vector<std::vector<question>> calls() {
        const std::lock_guard<std::mutex> lock(mutex_);
        return calls_;
    }

private:
    std::function<double(const live_request &)> rule_;
    std::mutex mutex_;
    std::vector<std::vector<question>> calls_;
};

inline std::vector<float> logits_after(testbed::waiting_engine & engine, int32_t sequence, int32_t token) {
    std::vector<float> logits(static_cast<size_t>(tiny()->info().vocabulary_size));
    engine.evaluate({entry(sequence, {token})}, &logits);
    return logits;
}

inline void check_equal(const std::vector<float> & a, const std::vector<float> & b, double tolerance) {
    double worst = a.size() == b.size() ? 0 : INFINITY;
    for (size_t i = 0; i < std::min(a.size(), b.size()); ++i) {
        worst = std::max(worst, static_cast<double>(std::fabs(a[i] - b[i])));
    }
    CHECK_NEAR(worst, 0, tolerance);
}

}  // namespace llama_steer::live
