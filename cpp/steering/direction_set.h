#pragma once

#include "steering/operation.h"

#include <cstdint>
#include <memory>
#include <vector>

namespace llama_steer {

/// One vector per layer as a caller has it, for the layers that have one. Borrowed.
struct vector_rows {
    const float * data = nullptr;  ///< [layers.size()][width]
    int64_t width = 0;
    std::vector<int> layers;        ///< 0-based block numbers
    const float * norms = nullptr;  ///< [layers.size()] mean norm of the model's rows at those layers; may be null
};

/// What the directions of an intervention are made from.
struct direction_request {
    operation kind = operation::add;
    std::vector<vector_rows> vectors;
    std::vector<vector_rows> up;    ///< of `affine`: U, one for each vector (which are V)
    std::vector<vector_rows> bias;  ///< of `affine`: none or one
    bool norm_units = false;        ///< strengths (of add) and bounds count in mean norms
};

/// The directions of one intervention at one layer, made ready for the kernels.
struct layer_directions {
    int32_t count = 0;              ///< rows in `read` and `write`
    const float * read = nullptr;   ///< [count][width], whose products with h are taken; null: none is
    const float * write = nullptr;  ///< [count][width], added times what follows from those products; null: nothing
    const float * bias = nullptr;   ///< [width], added times the strength; may be null
    float unit = 1.0F;              ///< worth of 1 in bounds
    int32_t first = 0;              ///< vectors of the layers before: where this layer begins in a report
};

/// Directions made ready for an operation. Immutable once made and shared by all who steer with it.
///
/// By operation: `add` keeps the sum of the vectors (times mean norm and scaled to length 1, where norm_units);
/// `ablate`, `rotate` an orthonormal basis of the span (of the plane, the first axis along the first vector);
/// `clamp`, `set`, `track` the vectors at length 1, to read, and their dual basis, to write: what is added along it
/// moves one projection and none of the others; `observe` the vectors at length 1.
class direction_set {
public:
    /// Throws NOT_FINITE, LAYER_OUT_OF_RANGE, WIDTH_MISMATCH (vectors of different widths), INVALID_ARGUMENT (no
    /// vector, no layer, or one twice), ZERO_VECTOR, STEERING_CONFLICT (directions that are to be set apart from each
    /// other are linearly dependent), NORMS_MISSING.
    direction_set(const direction_request & request, int n_layers);
    /// One vector to add as it is.
    direction_set(const float * data, int64_t width, const std::vector<int> & layers, int n_layers);

    /// The directions of `layer`; null where the set has none.
    const layer_directions * layer(int layer) const {
        return layers_[static_cast<size_t>(layer)].count > 0 ? &layers_[static_cast<size_t>(layer)] : nullptr;
    }
    operation kind() const { return kind_; }
    int64_t width() const { return width_; }
    int n_layers() const { return static_cast<int>(layers_.size()); }
    /// Vectors of all layers together: floats in a report.
    int32_t n_vectors() const { return n_vectors_; }
    /// Of the contents: equal for sets of equal directions.
    uint64_t hash() const { return hash_; }

private:
    operation kind_;
    int64_t width_;
    std::vector<layer_directions> layers_;  ///< by layer
    std::vector<std::unique_ptr<float[]>> data_;
    int32_t n_vectors_ = 0;
    uint64_t hash_ = 0;

    class builder;
};

}  // namespace llama_steer
