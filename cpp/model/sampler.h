#pragma once

#include "model/model.h"

#include <cstdint>
#include <memory>
#include <vector>

namespace llama_steer {

/// How the next token is chosen. The defaults are greedy.
struct sampler_options {
    float temperature = 0.0F;     ///< 0: the most probable token (after penalty and bias)
    int32_t top_k = 0;            ///< 0: off
    float top_p = 1.0F;           ///< 1: off
    float min_p = 0.0F;           ///< 0: off
    float repeat_penalty = 1.0F;  ///< 1: off
    int32_t repeat_last = 64;     ///< tokens that the penalty looks back on
    uint32_t seed = 0;
    std::vector<llama_logit_bias> logit_bias;
};

struct sampled_token {
    int32_t token = 0;
    /// ln p(token) under the model itself: softmax of the raw logits, before temperature, filters, penalty and bias.
    float log_probability = 0.0F;
};

/// Chooses tokens for one sequence; remembers what it chose for the repetition penalty. One thread at a time.
class sampler {
public:
    /// Throws INVALID_ARGUMENT for values out of range.
    sampler(const model & source, const sampler_options & options);

    /// Counts a prompt token for the repetition penalty.
    void accept(int32_t token);

    /// Chooses from `logits` [vocabulary size]. `scratch` is working memory shared by the samplers of a thread.
    sampled_token sample(const float * logits, std::vector<llama_token_data> & scratch);

private:
    struct deleter {
        void operator()(llama_sampler * chain) const { llama_sampler_free(chain); }
    };
    std::unique_ptr<llama_sampler, deleter> chain_;
    int32_t n_vocabulary_;
    bool plain_greedy_;  ///< neither penalty nor bias: the choice is the arg max of the raw logits
};

}  // namespace llama_steer
