#pragma once

#include "base/token_selection.h"
#include "steering/condition.h"
#include "steering/direction_set.h"
#include "steering/schedule.h"

#include <cstdint>
#include <memory>
#include <vector>

namespace llama_steer {

/// What of an intervention may change while it is in force, without touching a graph.
struct intervention_numbers {
    schedule strength = schedule::constant(1.0);  ///< factor, part of the way, or angle: see operation
    float low = 0.0F;                             ///< of clamp, track (and set): bounds of the projections
    float high = 0.0F;
};

struct intervention_request {
    int32_t site = 0;  ///< site_id
    std::shared_ptr<const direction_set> directions;
    token_selector tokens = token_scope::all;
    std::shared_ptr<const condition> when;  ///< acts only where it is fulfilled; null: always
    bool preserve_norm = false;             ///< every row it changed is scaled back to the length it had
    bool live = false;                      ///< its strength is told before every pass, by a function of the caller
    intervention_numbers numbers;
};

/// One intervention on one sequence. Its numbers and its selectors' memory belong to the decoding thread from the time
/// it is in a sequence's list.
class intervention {
public:
    /// Throws NOT_FINITE (bounds), INVALID_ARGUMENT (low above high).
    explicit intervention(intervention_request request);

    /// Names it in reports; unique in the process.
    uint64_t id() const { return id_; }
    operation kind() const { return request_.directions->kind(); }
    int32_t site() const { return request_.site; }
    const direction_set & directions() const { return *request_.directions; }
    const std::shared_ptr<const direction_set> & shared_directions() const { return request_.directions; }
    const condition * when() const { return request_.when.get(); }
    bool preserve_norm() const { return request_.preserve_norm; }
    bool live() const { return request_.live; }
    const token_selector & tokens() const { return request_.tokens; }
    const intervention_numbers & numbers() const { return request_.numbers; }

    /// Throws as the constructor, with nothing changed.
    void set_numbers(intervention_numbers numbers);
    /// Of a live intervention, in the pass to come.
    void set_live_strength(float strength) { live_strength_ = strength; }

    /// Whether the sum that llama.cpp can compute on a device does all of it.
    bool is_plain_sum() const { return kind() == operation::add && when() == nullptr && !preserve_norm(); }

    /// Strength for a token of the layout's batch; nothing where it does not act on it.
    float strength_at(const batch_layout & layout, int32_t sequence, int32_t position, bool output) const {
        if (!request_.tokens.selects(layout, sequence, position, output)) {
            return 0.0F;
        }
        if (request_.live) {
            return live_strength_;
        }
        return static_cast<float>(
            request_.numbers.strength.at(layout, sequence, position, layout.step(sequence, position), output));
    }

    /// Whether it needs markers (token_selection::required) that `sequence` has not held so far.
    bool misses_marker(const batch_layout & layout, int32_t sequence) const;

    /// Of what it does to a token it acts on with a strength, apart from that strength and the bounds.
    uint64_t hash() const { return hash_; }

    /// Throws what the constructor would of such numbers.
    static void check(const intervention_numbers & numbers);

private:
    uint64_t id_;
    intervention_request request_;
    uint64_t hash_;
    float live_strength_ = 0.0F;
};

/// The interventions on one sequence, applied in order.
using steering_list = std::vector<std::shared_ptr<intervention>>;

}  // namespace llama_steer
