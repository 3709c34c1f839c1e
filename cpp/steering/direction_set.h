#pragma once

#include <cstdint>
#include <memory>
#include <vector>

namespace llama_steer {

/// One direction per layer, for the layers that have one. Immutable once made and shared by all who steer with it.
class direction_set {
public:
    /// `data` holds [layers.size()][width] floats in the order of `layers` (0-based block numbers below `n_layers`).
    /// Throws NOT_FINITE, LAYER_OUT_OF_RANGE, WIDTH_MISMATCH, INVALID_ARGUMENT (no layer, or one twice).
    direction_set(const float * data, int64_t width, const std::vector<int> & layers, int n_layers,
                  int64_t model_width);

    /// The direction of `layer`, [width] floats; null where the set has none.
    const float * layer(int layer) const { return slots_[layer] < 0 ? nullptr : data_.data() + slots_[layer] * width_; }
    int64_t width() const { return width_; }
    int n_layers() const { return static_cast<int>(slots_.size()); }

private:
    int64_t width_;
    std::vector<int32_t> slots_;
    std::vector<float> data_;
};

}  // namespace llama_steer
