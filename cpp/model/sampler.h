#pragma once

#include "model/grammar.h"
#include "model/model.h"

#include <cstdint>
#include <memory>
#include <optional>
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
    int32_t alternatives = 0;  ///< most probable tokens to report with each one chosen
    std::vector<llama_logit_bias> logit_bias;
    std::optional<grammar_source> grammar;  ///< restricts what is chosen from, before all others
};

/// A token that could have been chosen, and ln p(token) as sampled_token has it.
struct probable_token {
    int32_t token;
    float log_probability;
};

struct sampled_token {
    int32_t token = 0;
    /// ln p(token) under the model itself: softmax of the raw logits, before grammar, temperature, filters, penalty and
    /// bias.
    float log_probability = 0.0F;
    std::vector<probable_token> alternatives;  ///< the most probable ones first, the chosen one among them or not
};

/// Chooses tokens for one sequence; remembers what it chose for the repetition penalty and the grammar. One thread at a
/// time.
class sampler {
public:
    /// Throws INVALID_ARGUMENT for values out of range, GRAMMAR_INVALID. `source` must outlive it.
    sampler(const model & source, const sampler_options & options);

    /// Counts a prompt token for the repetition penalty.
    void accept(int32_t token);

    /// Chooses from `logits` [vocabulary size]. `scratch` is working memory shared by the samplers of a thread.
    /// Throws NO_TOKEN_LEFT where grammar and biases forbid everything.
    sampled_token sample(const float * logits, std::vector<llama_token_data> & scratch);

private:
    struct deleter {
        void operator()(llama_sampler * chain) const { llama_sampler_free(chain); }
    };
    int32_t choose(const float * logits, std::vector<llama_token_data> & scratch);
    int32_t choose_from(const float * logits, std::vector<llama_token_data> & scratch, bool masked);

    std::unique_ptr<llama_sampler, deleter> chain_;
    std::vector<llama_logit_bias> bias_;
    std::optional<grammar> grammar_;
    std::vector<int32_t> refused_;  ///< what the grammar's mask let through in this step and its state refused
    int32_t n_vocabulary_;
    int32_t n_alternatives_;
    bool greedy_;  ///< the most probable token is chosen
    bool plain_;   ///< neither penalty nor bias: the logits are the model's own
};

}  // namespace llama_steer
