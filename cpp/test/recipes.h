// Interventions as their callers describe them: made for the library on one side, as formulas on the other.
#pragma once

#include "steering/intervention.h"
#include "steering/site_id.h"
#include "steering_formulas.h"
#include "testbed.h"

#include <cmath>
#include <limits>
#include <memory>
#include <string>
#include <vector>

namespace llama_steer::recipes {

constexpr float unbounded = std::numeric_limits<float>::infinity();

struct recipe {
    operation kind;
    size_t n_vectors = 1;
    double strength = 1;
    float low = 0;
    float high = 0;
    bool keep_norm = false;
    bool norm_units = false;
    bool bias = false;  ///< of affine
    token_scope tokens = token_scope::all;
};

inline std::string text_of(const recipe & each) {
    static const char * const names[] = {"add", "ablate", "clamp", "set", "affine", "rotate", "track", "observe"};
    return std::string(names[static_cast<size_t>(each.kind)]) + " of " + std::to_string(each.n_vectors) +
           ", strength " + std::to_string(each.strength) + (each.keep_norm ? ", norm kept" : "") +
           (each.norm_units ? ", in norms" : "");
}

/// Every operation, with one and with several vectors, whole and part of the way; in raw units.
inline std::vector<recipe> plain_recipes() {
    return {
        {operation::add, 1, 0.8},
        {operation::add, 3, -0.6},
        {operation::ablate, 1, 1},
        {operation::ablate, 1, 0.4},
        {operation::ablate, 3, 1},
        {operation::ablate, 3, 0.4},
        {operation::clamp, 1, 1, -0.2F, unbounded},
        {operation::clamp, 1, 1, -unbounded, 0.1F},
        {operation::clamp, 1, 1, -0.3F, 0.2F},
        {operation::clamp, 3, 1, -0.3F, 0.2F},
        {operation::clamp, 3, 0.5, -0.1F, 0.1F},
        {operation::set, 1, 1, 0.7F, 0.7F},
        {operation::set, 3, 1, -0.9F, -0.9F},
        {operation::set, 3, 0.4, 1.2F, 1.2F},
        {operation::affine, 3, 0.9, 0, 0, false, false, true},
        {operation::affine, 3, -0.5},
        {operation::rotate, 2, 0.3},
        {operation::rotate, 2, 3.1},
        {operation::rotate, 2, 4.0},
        {operation::rotate, 2, -2.5},
        {operation::rotate, 2, 13.7},
        {operation::track, 2, 1, -0.2F, 0.2F},
    };
}

/// Those, each with and without its norm kept; in norms of the model's rows; and what changes nothing.
inline std::vector<recipe> all_recipes() {
    std::vector<recipe> all = plain_recipes();
    const std::vector<recipe> in_norms = {
        {operation::add, 3, 0.4, 0, 0, false, true},
        {operation::clamp, 3, 1, -0.05F, 0.03F, false, true},
        {operation::set, 1, 1, 0.2F, 0.2F, false, true},
    };
    all.insert(all.end(), in_norms.begin(), in_norms.end());
    const size_t count = all.size();
    for (size_t i = 0; i < count; ++i) {
        all.push_back(all[i]);
        all.back().keep_norm = true;
    }
    all.push_back({operation::observe, 2});
    return all;
}

/// A recipe with random vectors for some layers of one width.
class described {
public:
    described(const recipe & what, std::string site, std::vector<int> layers, int64_t width, int n_layers,
              uint64_t seed)
        : what_(what), site_(std::move(site)), layers_(std::move(layers)), width_(width), n_layers_(n_layers) {
        testbed::generator random(seed);
        for (size_t i = 0; i < what.n_vectors; ++i) {
            vectors_.push_back(numbers(random, 0.4F));
            // Further vectors lean towards the first, so that none is orthogonal to another.
            for (size_t k = 0; i > 0 && k < vectors_[i].size(); ++k) {
                vectors_[i][k] += 0.3F * vectors_[0][k];
            }
            if (what.kind == operation::affine) {
                up_.push_back(numbers(random, 0.1F));
            }
            norms_.emplace_back();
            for (size_t k = 0; k < layers_.size(); ++k) {
                norms_.back().push_back(4.0F + random());
            }
        }
        if (what.bias) {
            bias_ = numbers(random, 0.3F);
        }
    }

    const recipe & what() const { return what_; }
    const std::string & site() const { return site_; }

    std::shared_ptr<const direction_set> directions() const {
        direction_request request;
        request.kind = what_.kind;
        request.norm_units = what_.norm_units;
        for (size_t i = 0; i < vectors_.size(); ++i) {
            request.vectors.push_back({vectors_[i].data(), width_, layers_, norms_[i].data()});
        }
        for (const std::vector<float> & each : up_) {
            request.up.push_back({each.data(), width_, layers_, nullptr});
        }
        if (!bias_.empty()) {
            request.bias.push_back({bias_.data(), width_, layers_, nullptr});
        }
        return std::make_shared<const direction_set>(request, n_layers_);
    }

    intervention_request request() const {
        intervention_request made;
        made.site = site_id(site_);
        made.directions = directions();
        made.tokens = what_.tokens;
        made.preserve_norm = what_.keep_norm;
        made.numbers = {schedule::constant(what_.strength), what_.low, what_.high};
        return made;
    }
    std::shared_ptr<intervention> made() const { return std::make_shared<intervention>(request()); }

    bool acts_at(int layer) const { return std::find(layers_.begin(), layers_.end(), layer) != layers_.end(); }

    formulas::action action(int layer) const {
        formulas::action result;
        const auto slot = static_cast<size_t>(std::find(layers_.begin(), layers_.end(), layer) - layers_.begin());
        const auto at = [&](const std::vector<float> & all) {
            return formulas::row_of(all.data() + slot * static_cast<size_t>(width_), static_cast<size_t>(width_));
        };
        result.kind = what_.kind;
        for (size_t i = 0; i < vectors_.size(); ++i) {
            result.vectors.push_back(at(vectors_[i]));
            if (what_.norm_units) {
                result.norms.push_back(static_cast<double>(norms_[i][slot]));
            }
        }
        for (const std::vector<float> & each : up_) {
            result.up.push_back(at(each));
        }
        if (!bias_.empty()) {
            result.bias = at(bias_);
        }
        // The library's numbers are float32.
        result.strength = static_cast<double>(static_cast<float>(what_.strength));
        result.low = static_cast<double>(what_.low);
        result.high = static_cast<double>(what_.high);
        result.keep_norm = what_.keep_norm;
        return result;
    }

private:
    std::vector<float> numbers(testbed::generator & random, float size) const {
        std::vector<float> made(layers_.size() * static_cast<size_t>(width_));
        for (float & value : made) {
            value = size * random();
        }
        return made;
    }

    recipe what_;
    std::string site_;
    std::vector<int> layers_;
    int64_t width_;
    int n_layers_;
    std::vector<std::vector<float>> vectors_;  ///< by vector: [layers][width]
    std::vector<std::vector<float>> up_;
    std::vector<std::vector<float>> norms_;  ///< by vector, layer
    std::vector<float> bias_;
};

/// Several in turn, on one row.
inline formulas::row apply(const std::vector<described> & list, int layer, formulas::row h) {
    for (const described & each : list) {
        if (each.acts_at(layer)) {
            h = formulas::apply(each.action(layer), h);
        }
    }
    return h;
}

inline std::shared_ptr<const steering_list> list_of(const std::vector<described> & list) {
    auto made = std::make_shared<steering_list>();
    for (const described & each : list) {
        made->push_back(each.made());
    }
    return made;
}

/// By sequence; null where a list is empty.
inline std::vector<std::shared_ptr<const steering_list>> lists_of(const std::vector<std::vector<described>> & lists) {
    std::vector<std::shared_ptr<const steering_list>> made;
    for (const std::vector<described> & list : lists) {
        made.push_back(list.empty() ? nullptr : list_of(list));
    }
    return made;
}

}  // namespace llama_steer::recipes
