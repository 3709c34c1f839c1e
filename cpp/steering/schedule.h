#pragma once

#include "base/token_selection.h"

#include <cstdint>
#include <vector>

namespace llama_steer {

/// How a strength goes on within a segment; n is the step, t = (n - begin) / length, at most 1.
enum class schedule_shape : uint8_t {
    constant,     ///< from
    linear,       ///< from + (to - from) * t
    cosine,       ///< from + (to - from) * (1 - cos(pi * t)) / 2
    exponential,  ///< to + (from - to) * 2^(-(n - begin) / length)
};

/// A strength over the steps from `begin` up to where the next segment begins.
struct schedule_segment {
    double begin;  ///< a step, see batch_layout::step; -infinity: from the first token on
    schedule_shape shape;
    double from;
    double to;      ///< not of constants
    double length;  ///< in steps; not of constants
};

/// The strength of some tokens.
struct schedule_phase {
    token_selector tokens;
    std::vector<schedule_segment> segments;
};

/// A strength that may change from token to token: the first phase whose selection takes a token says it; where none
/// does it is 0. Selections look at the batch, so `at` is for the decoding thread only, and copies are independent.
class schedule {
public:
    /// Every phase needs segments that begin at ascending steps, the first a constant from -infinity on; of all but
    /// constants the length must be positive. Throws INVALID_ARGUMENT, NOT_FINITE.
    explicit schedule(std::vector<schedule_phase> phases);
    static schedule constant(double strength);

    /// The strength of the token at `position` of `sequence`, which lies in the layout's batch; `step` is the layout's.
    /// `output`: whether its logits are asked for. Allocates nothing beyond what `between` selections keep by token.
    double at(const batch_layout & layout, int32_t sequence, int32_t position, int64_t step, bool output) const {
        return is_constant_ ? constant_ : look_up(layout, sequence, position, step, output);
    }

    /// Whether all tokens have one strength; `at` then looks at none of its arguments.
    bool is_constant() const { return is_constant_; }

    const std::vector<schedule_phase> & phases() const { return phases_; }

    /// Of the numbers and selections: equal ones have equal hashes, on every machine.
    uint64_t hash() const { return hash_; }

private:
    double look_up(const batch_layout & layout, int32_t sequence, int32_t position, int64_t step, bool output) const;

    std::vector<schedule_phase> phases_;
    bool is_constant_;
    double constant_;
    uint64_t hash_;
};

}  // namespace llama_steer
