#pragma once

#include <cstdint>

namespace llama_steer {

/// aᵀb of [width] floats, in float32 sums of many parts each, which are then summed in float64.
double dot(const float * a, const float * b, int64_t width);

/// to += factor * from, product and sum each rounded (no fused multiply-add).
void add_scaled(float * to, const float * from, float factor, int64_t width);

/// to += factors[0] * from[0], then += factors[1] * from[1] and so on up to `count` (1 to 4), with the bits of so many
/// calls of add_scaled and one pass over `to`.
void add_scaled(float * to, const float * const * from, const float * factors, int count, int64_t width);

/// to *= factor.
void scale(float * to, float factor, int64_t width);

}  // namespace llama_steer
