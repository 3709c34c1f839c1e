#include "steering/condition.h"

#include "base/content_hash.h"
#include "base/error.h"
#include "steering/site_id.h"

#include <cmath>

namespace llama_steer {

namespace {

uint64_t key_of(const condition_probe & probe) {
    const std::string & name = name_of_site(probe.site);
    return content_hash()
        .bytes(name.data(), name.size())
        .add(probe.layer)
        .add(probe.direction->hash())
        .add(probe.measure)
        .add(probe.latch)
        .add(probe.above)
        .add(probe.threshold)
        .value();
}

}  // namespace

condition::condition(condition_probe leaf) : rule_(rule::probe), leaf_(std::move(leaf)) {
    if (!std::isfinite(leaf_.threshold)) {
        throw error(error_code::NOT_FINITE, "the threshold of a condition must be finite");
    }
    if (leaf_.layer < 0 || leaf_.layer >= leaf_.direction->n_layers() ||
        leaf_.direction->layer(leaf_.layer) == nullptr) {
        throw error(error_code::LAYER_OUT_OF_RANGE,
                    "the vector of the condition has no direction at layer " + std::to_string(leaf_.layer));
    }
    leaf_.key = key_of(leaf_);
    probes_.push_back(&leaf_);
    hash_ = content_hash().add(rule_).add(leaf_.key).value();
}

condition::condition(rule combination, std::vector<std::shared_ptr<const condition>> parts)
    : rule_(combination), parts_(std::move(parts)) {
    if (parts_.empty() || (rule_ == rule::negate && parts_.size() != 1)) {
        throw error(error_code::INVALID_ARGUMENT, "all and any need at least one condition, not exactly one");
    }
    content_hash hash;
    hash.add(rule_);
    for (const auto & part : parts_) {
        probes_.insert(probes_.end(), part->probes().begin(), part->probes().end());
        hash.add(part->hash());
    }
    if (probes_.size() > max_probes) {
        throw error(error_code::INVALID_ARGUMENT,
                    "a condition may compare " + std::to_string(max_probes) + " times at most");
    }
    hash_ = hash.value();
}

bool condition::fulfilled(const bool * truths) const { return evaluate(truths); }

bool condition::evaluate(const bool *& truths) const {
    if (rule_ == rule::probe) {
        return *truths++;
    }
    bool all = true;
    bool any = false;
    for (const auto & part : parts_) {
        const bool fulfilled = part->evaluate(truths);
        all = all && fulfilled;
        any = any || fulfilled;
    }
    return rule_ == rule::negate ? !any : rule_ == rule::all ? all : any;
}

}  // namespace llama_steer
