#pragma once

#include "model/model.h"
#include "steering/condition.h"
#include "steering/intervention.h"
#include "steering/site_id.h"

#include <algorithm>
#include <cstdint>
#include <functional>
#include <memory>
#include <numeric>
#include <random>
#include <string>
#include <utility>
#include <vector>

namespace llama_steer::bench {

/// Vectors of random numbers, one for each of some layers, small against the residual: what the model says stays
/// finite, and costs do not depend on values.
struct random_vectors {
    std::vector<int> layers;
    int64_t width;
    std::vector<float> data;  ///< [layers][width]

    random_vectors(std::vector<int> where, int64_t row_width, uint64_t seed)
        : layers(std::move(where)), width(row_width), data(layers.size() * static_cast<size_t>(width)) {
        std::mt19937_64 random(seed);
        for (float & each : data) {
            each = static_cast<float>(random() >> 40) * 0x1p-24F * 0.02F - 0.01F;
        }
    }
    vector_rows rows() const { return {data.data(), width, layers, nullptr}; }
};

inline std::vector<int> layers_between(int first, int end) {
    std::vector<int> layers(static_cast<size_t>(std::max(0, end - first)));
    std::iota(layers.begin(), layers.end(), first);
    return layers;
}

/// Makes the list of every sequence of a context.
using list_maker = std::function<std::vector<std::shared_ptr<const steering_list>>(int32_t sequences)>;

/// The lists that are measured, for one model. As in an engine, every sequence has interventions of its own, and the
/// directions are shared where they are the same.
class steering_lists {
public:
    explicit steering_lists(const model_info & info) : info_(info) {}

    std::vector<int> all_layers() const { return layers_between(0, info_.n_layers); }

    /// One vector added at some layers, the same for all sequences.
    list_maker add(std::vector<int> layers) const {
        return [*this, set = directions(operation::add, std::move(layers), 1)](int32_t sequences) {
            return for_each_sequence(sequences, [&](int32_t) { return list({of(set, 0.5)}); });
        };
    }
    /// The same with vectors and strengths of its own for every sequence.
    list_maker add_distinct(const std::vector<int> & layers) const {
        return [*this, layers](int32_t sequences) {
            return for_each_sequence(sequences, [&](int32_t sequence) {
                return list({of(directions(operation::add, layers, 100 + static_cast<uint64_t>(sequence)),
                                0.5 + 0.001 * sequence)});
            });
        };
    }
    /// Several interventions, one after another.
    list_maker add_several(const std::vector<int> & layers, int count) const {
        std::vector<std::shared_ptr<const direction_set>> sets;
        for (int i = 0; i < count; ++i) {
            sets.push_back(directions(operation::add, layers, 1 + static_cast<uint64_t>(i)));
        }
        return [*this, sets](int32_t sequences) {
            return for_each_sequence(sequences, [&](int32_t) {
                steering_list made;
                for (const auto & set : sets) {
                    made.push_back(std::make_shared<intervention>(of(set, 0.5)));
                }
                return std::make_shared<const steering_list>(std::move(made));
            });
        };
    }
    list_maker ablate(std::vector<int> layers) const {
        return [*this, set = directions(operation::ablate, std::move(layers), 1)](int32_t sequences) {
            return for_each_sequence(sequences, [&](int32_t) { return list({of(set, 1.0)}); });
        };
    }
    /// Added at the layers behind `measured_at` where the row there is not exactly opposite to a vector: always.
    list_maker add_on_condition(int measured_at) const {
        condition_probe probe;
        probe.site = site_id("residual");
        probe.layer = measured_at;
        probe.direction = directions(operation::observe, {measured_at}, 2);
        probe.threshold = -1.5F;
        const auto when = std::make_shared<const condition>(probe);
        const auto set = directions(operation::add, layers_between(measured_at + 1, info_.n_layers), 1);
        return [*this, when, set](int32_t sequences) {
            return for_each_sequence(sequences, [&](int32_t) {
                intervention_request request = of(set, 0.5);
                request.when = when;
                return list(std::move(request));
            });
        };
    }

    std::shared_ptr<const direction_set> directions(operation kind, std::vector<int> layers, uint64_t seed) const {
        const random_vectors vectors(std::move(layers), info_.hidden_size, seed);
        return std::make_shared<const direction_set>(direction_request{kind, {vectors.rows()}, {}, {}, false},
                                                     info_.n_layers);
    }

private:
    static intervention_request of(std::shared_ptr<const direction_set> set, double strength) {
        intervention_request request;
        request.site = site_id("residual");
        request.directions = std::move(set);
        request.numbers.strength = schedule::constant(strength);
        return request;
    }
    static std::shared_ptr<const steering_list> list(intervention_request request) {
        return std::make_shared<const steering_list>(steering_list{std::make_shared<intervention>(std::move(request))});
    }
    template <typename making>
    static std::vector<std::shared_ptr<const steering_list>> for_each_sequence(int32_t sequences, making && make) {
        std::vector<std::shared_ptr<const steering_list>> lists;
        for (int32_t sequence = 0; sequence < sequences; ++sequence) {
            lists.push_back(make(sequence));
        }
        return lists;
    }

    model_info info_;
};

}  // namespace llama_steer::bench
