#pragma once

#include <cstdint>

namespace llama_steer {

/// What an intervention does to a row h of its site. v are its directions, s the strength of the token; v̂ has length 1.
enum class operation : uint8_t {
    add,     ///< h + s * (v1 + v2 + ...)
    ablate,  ///< h - s * (the part of h in the span of the directions); all of it is gone at s = 1
    clamp,  ///< every v̂ᵀh moved by s of the way into [low, high], by the smallest change that does it for all at once
    set,    ///< the same with low = high
    affine,   ///< h + s * (U Vᵀ h + b): low rank, as in LoReFT (arXiv 2404.03592)
    rotate,   ///< by the angle s (radians) in the plane of two directions, from the first towards the second
    track,    ///< clamp that reports every v̂ᵀh it found
    observe,  ///< changes nothing, reports every v̂ᵀh
};

/// Whether the projections that the operation finds are reported.
constexpr bool reports(operation kind) { return kind == operation::track || kind == operation::observe; }

/// Whether the operation needs directions of length 1, so that a zero direction is refused.
constexpr bool needs_orientation(operation kind) { return kind != operation::add && kind != operation::affine; }

}  // namespace llama_steer
