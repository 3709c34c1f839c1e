#pragma once

#include "steering/direction_set.h"

#include <cstdint>
#include <memory>
#include <string>
#include <vector>

namespace llama_steer {

/// From what a condition measures on its direction c.
enum class condition_measure : uint8_t {
    cosine,      ///< ĉᵀh / |h|, as CAST does (arXiv 2409.05907)
    projection,  ///< ĉᵀh
};

/// When a condition is decided.
enum class condition_latch : uint8_t {
    token,        ///< for every token by its own row
    last_prompt,  ///< by the last prompt token, for it and the answer
    prompt_mean,  ///< by the mean over the prompt's tokens, for its last token and the answer
    prompt_any,   ///< if any of the prompt's tokens fulfils it, for its last token and the answer
};

/// One comparison of what arrives at a site, before anything is changed there, with a threshold.
struct condition_probe {
    int32_t site = 0;  ///< site_id
    int layer = 0;
    std::shared_ptr<const direction_set> direction;  ///< of kind observe, one vector
    condition_measure measure = condition_measure::cosine;
    condition_latch latch = condition_latch::token;
    bool above = true;  ///< fulfilled where the measure exceeds the threshold; else where it is below it
    float threshold = 0.0F;
    uint64_t key = 0;  ///< of the contents: equal for equal probes. Set by condition

    bool fulfilled_by(float measured) const { return above ? measured > threshold : measured < threshold; }
};

/// Probes combined with and, or, not. Immutable and shared.
class condition {
public:
    enum class rule : uint8_t { probe, all, any, negate };

    /// Throws NOT_FINITE (threshold), INVALID_ARGUMENT (its direction has no such layer).
    explicit condition(condition_probe leaf);
    /// `parts`: at least one; exactly one to negate. Throws INVALID_ARGUMENT, also where there are too many probes.
    condition(rule combination, std::vector<std::shared_ptr<const condition>> parts);

    /// All probes, in the order in which `fulfilled` asks for them.
    const std::vector<const condition_probe *> & probes() const { return probes_; }

    /// `truths[i]`: whether probes()[i] is fulfilled.
    bool fulfilled(const bool * truths) const;

    uint64_t hash() const { return hash_; }

    /// Probes that one condition may have.
    static constexpr size_t max_probes = 32;

private:
    bool evaluate(const bool *& truths) const;

    rule rule_;
    condition_probe leaf_;
    std::vector<std::shared_ptr<const condition>> parts_;
    std::vector<const condition_probe *> probes_;
    uint64_t hash_ = 0;
};

}  // namespace llama_steer
