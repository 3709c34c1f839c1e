#include "model/sampler.h"

#include "base/error.h"
#include "base/log_sum_exp.h"

#include <algorithm>
#include <cmath>

namespace llama_steer {

namespace {

void require(bool valid, const char * message) {
    if (!valid) {
        throw error(error_code::INVALID_ARGUMENT, message);
    }
}

void check(const sampler_options & options, int32_t n_vocabulary) {
    require(std::isfinite(options.temperature) && options.temperature >= 0, "temperature must be 0 or more");
    require(options.top_k >= 0, "topK must be 0 (off) or more");
    require(options.top_p > 0 && options.top_p <= 1, "topP must be above 0 and at most 1 (off)");
    require(options.min_p >= 0 && options.min_p <= 1, "minP must lie in 0 (off) to 1");
    require(std::isfinite(options.repeat_penalty) && options.repeat_penalty > 0, "repeatPenalty must be above 0");
    require(options.repeat_last >= 0, "repeatLast must be 0 or more");
    require(options.alternatives >= 0 && options.alternatives <= n_vocabulary,
            "alternatives must be 0 to the size of the vocabulary");
    for (const llama_logit_bias & bias : options.logit_bias) {
        require(bias.token >= 0 && bias.token < n_vocabulary, "logitBias names a token that is not in the vocabulary");
        require(!std::isnan(bias.bias) && bias.bias != INFINITY, "logitBias must be finite or -Infinity");
    }
}

/// The `count` tokens of the largest logits, the largest first; of equal ones the lower id.
std::vector<probable_token> most_probable(const float * logits, int32_t n_vocabulary, int32_t count, double log_sum,
                                          std::vector<llama_token_data> & scratch) {
    scratch.resize(static_cast<size_t>(n_vocabulary));
    for (int32_t i = 0; i < n_vocabulary; ++i) {
        scratch[static_cast<size_t>(i)] = {i, logits[i], 0.0F};
    }
    std::partial_sort(scratch.begin(), scratch.begin() + count, scratch.end(),
                      [](const llama_token_data & a, const llama_token_data & b) {
                          return a.logit != b.logit ? a.logit > b.logit : a.id < b.id;
                      });
    std::vector<probable_token> found;
    for (int32_t i = 0; i < count; ++i) {
        const llama_token_data & each = scratch[static_cast<size_t>(i)];
        found.push_back({each.id, static_cast<float>(each.logit - log_sum)});
    }
    return found;
}

/// Leaves the candidates whose logit is not -infinity. Throws NO_TOKEN_LEFT where there are none.
void drop_forbidden(std::vector<llama_token_data> & scratch, llama_token_data_array & candidates) {
    const auto end = std::remove_if(scratch.begin(), scratch.end(),
                                    [](const llama_token_data & each) { return each.logit == -INFINITY; });
    candidates.size = static_cast<size_t>(end - scratch.begin());
    if (candidates.size == 0) {
        throw error(error_code::NO_TOKEN_LEFT,
                    "grammar and logitBias leave no token of the vocabulary to choose: forbid less; the sequence "
                    "holds the answer so far");
    }
}

}  // namespace

sampler::sampler(const model & source, const sampler_options & options)
    : bias_(options.logit_bias), n_vocabulary_(source.info().vocabulary_size), n_alternatives_(options.alternatives) {
    check(options, n_vocabulary_);
    if (options.grammar) {
        grammar_.emplace(source, *options.grammar);
    }
    const bool penalty = options.repeat_penalty != 1.0F && options.repeat_last > 0;
    greedy_ = options.temperature == 0;
    plain_ = !penalty && bias_.empty();

    chain_.reset(llama_sampler_chain_init(llama_sampler_chain_default_params()));
    const auto add = [&](llama_sampler * stage) { llama_sampler_chain_add(chain_.get(), stage); };
    if (penalty) {
        add(llama_sampler_init_penalties(n_vocabulary_, options.repeat_last, options.repeat_penalty, 0.0F, 0.0F));
    }
    if (greedy_) {
        add(llama_sampler_init_greedy());
        return;
    }
    // All tokens are no choice, and sorted for it they would be drawn in another order than without.
    if (options.top_k > 0 && options.top_k < n_vocabulary_) {
        add(llama_sampler_init_top_k(options.top_k));
    }
    if (options.top_p < 1) {
        add(llama_sampler_init_top_p(options.top_p, 1));
    }
    if (options.min_p > 0) {
        add(llama_sampler_init_min_p(options.min_p, 1));
    }
    add(llama_sampler_init_temp(options.temperature));
    add(llama_sampler_init_dist(options.seed));
}

void sampler::accept(int32_t token) { llama_sampler_accept(chain_.get(), token); }

sampled_token sampler::sample(const float * logits, std::vector<llama_token_data> & scratch) {
    refused_.clear();
    int32_t chosen = choose(logits, scratch);
    while (grammar_ && !grammar_->accept(chosen)) {
        refused_.push_back(chosen);
        chosen = choose_from(logits, scratch, true);
    }
    accept(chosen);
    const double log_sum = log_sum_exp(logits, n_vocabulary_);
    sampled_token result{chosen, static_cast<float>(logits[chosen] - log_sum), {}};
    if (n_alternatives_ > 0) {
        result.alternatives = most_probable(logits, n_vocabulary_, n_alternatives_, log_sum, scratch);
    }
    return result;
}

int32_t sampler::choose(const float * logits, std::vector<llama_token_data> & scratch) {
    if (!greedy_) {
        return choose_from(logits, scratch, true);
    }
    // The best of all is also the best of those that the grammar allows, if it is one of them: the whole vocabulary is
    // held against the grammar only where it is not.
    const int32_t best = plain_ ? static_cast<int32_t>(std::max_element(logits, logits + n_vocabulary_) - logits)
                                : choose_from(logits, scratch, false);
    return !grammar_ || grammar_->allows(best) ? best : choose_from(logits, scratch, true);
}

/// Grammar and biases first, which forbid; what is left goes through penalty, filters and temperature.
int32_t sampler::choose_from(const float * logits, std::vector<llama_token_data> & scratch, bool masked) {
    scratch.resize(static_cast<size_t>(n_vocabulary_));
    for (int32_t i = 0; i < n_vocabulary_; ++i) {
        scratch[static_cast<size_t>(i)] = {i, logits[i], 0.0F};
    }
    for (const int32_t token : refused_) {
        scratch[static_cast<size_t>(token)].logit = -INFINITY;
    }
    for (const llama_logit_bias & each : bias_) {
        scratch[static_cast<size_t>(each.token)].logit += each.bias;
    }
    llama_token_data_array candidates{scratch.data(), scratch.size(), -1, false};
    if (grammar_ && masked) {
        grammar_->mask(candidates);
    }
    if (grammar_ || !bias_.empty()) {
        drop_forbidden(scratch, candidates);
    }
    llama_sampler_apply(chain_.get(), &candidates);
    return candidates.data[candidates.selected].id;
}

}  // namespace llama_steer
