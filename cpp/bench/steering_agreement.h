#pragma once

#include "bench/options.h"
#include "bench/other_steering_sides.h"
#include "bench/steered_side.h"
#include "bench/steering_lists.h"

#include <algorithm>
#include <cmath>
#include <memory>
#include <utility>
#include <vector>

namespace llama_steer::bench {

/// How far the logits of other sides are from ours, over the largest of ours: 0 where all bits are the same.
struct logits_difference {
    double control_vector = 0;
    double editing = 0;    ///< also where layers lie on a device: not compared
    double unsteered = 0;  ///< has to be large: what the vectors change
};

/// Adds the same vectors at all layers from 1 on (upstream has none at 0) in three ways, over a prompt of each of two
/// sequences and some generated tokens.
inline logits_difference compare_logits(const std::shared_ptr<const model> & source, const bench_options & how) {
    const workload prompt{"prompt", 2, 8, 0, 16};
    const workload answer{"answer", 2, 1, 8, 16};
    const context_options options = context_options_of(prompt, how.threads);
    const model_info & info = source->info();
    const std::vector<int> layers = layers_between(1, info.n_layers);
    const random_vectors vectors(layers, info.hidden_size, 1);
    const steering_lists lists(info);
    steered_side ours(std::make_shared<steered_context>(source, options), lists.add(layers)(2));
    cvec_side control_vector(source, options, vectors, 0.5F, false);
    // What lies on a device cannot be edited where it lies.
    std::unique_ptr<plain_side> editing;
    if (how.gpu_layers == 0) {
        editing = std::make_unique<editing_side>(source, options, vectors, 0.5F);
    }
    plain_side unsteered(source, options);

    logits_difference found;
    const auto compare = [&](int32_t index, const plain_side & other, double & worst) {
        const float * expected = other.logits(index);
        const float * got = ours.logits(index);
        double largest = 1e-30;
        double difference = 0;
        for (int32_t i = 0; i < info.vocabulary_size; ++i) {
            largest = std::max(largest, std::abs(static_cast<double>(got[i])));
            difference = std::max(difference, std::abs(static_cast<double>(expected[i]) - static_cast<double>(got[i])));
        }
        worst = std::max(worst, difference / largest);
    };
    for (int step = 0; step < 4; ++step) {
        const step_batch batch = step == 0 ? make_batch(prompt, 0, 8, false, info.vocabulary_size)
                                           : make_batch(answer, 7 + step, 1, true, info.vocabulary_size);
        ours.prepare(batch);
        ours.decode(batch);
        const std::pair<plain_side *, double *> others[] = {
            {&control_vector, &found.control_vector}, {editing.get(), &found.editing}, {&unsteered, &found.unsteered}};
        for (const auto & [other, worst] : others) {
            if (other == nullptr) {
                continue;
            }
            other->decode(batch);
            for (size_t i = 0; i < batch.tokens.size(); ++i) {
                if (batch.tokens[i].output) {
                    compare(static_cast<int32_t>(i), *other, *worst);
                }
            }
        }
    }
    return found;
}

}  // namespace llama_steer::bench
