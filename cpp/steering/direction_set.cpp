#include "steering/direction_set.h"

#include "base/content_hash.h"
#include "base/error.h"
#include "steering/basis.h"

#include <algorithm>
#include <cmath>
#include <string>

namespace llama_steer {

namespace {

std::string at_layer(int layer) { return " at layer " + std::to_string(layer); }

void check_vector(const vector_rows & vector, int64_t width, int n_layers) {
    if (vector.layers.empty()) {
        throw error(error_code::INVALID_ARGUMENT, "a steering vector needs at least one layer");
    }
    if (vector.width != width) {
        throw error(error_code::WIDTH_MISMATCH, "the vectors of one intervention must have one width, not " +
                                                    std::to_string(width) + " and " + std::to_string(vector.width));
    }
    std::vector<bool> seen(static_cast<size_t>(n_layers), false);
    for (size_t i = 0; i < vector.layers.size(); ++i) {
        const int layer = vector.layers[i];
        if (layer < 0 || layer >= n_layers) {
            throw error(error_code::LAYER_OUT_OF_RANGE, "layer " + std::to_string(layer) +
                                                            " does not exist: the model has layers 0 to " +
                                                            std::to_string(n_layers - 1));
        }
        if (seen[static_cast<size_t>(layer)]) {
            throw error(error_code::INVALID_ARGUMENT, "layer " + std::to_string(layer) + " is given twice");
        }
        seen[static_cast<size_t>(layer)] = true;
        for (int64_t k = 0; k < width; ++k) {
            const float value = vector.data[static_cast<int64_t>(i) * width + k];
            if (!std::isfinite(value)) {
                throw error(error_code::NOT_FINITE, "the steering vector of layer " + std::to_string(layer) +
                                                        " holds " + std::to_string(value) + " at index " +
                                                        std::to_string(k));
            }
        }
    }
}

/// The row of `layer`, or null.
const float * row_of(const vector_rows & vector, int layer) {
    const auto found = std::find(vector.layers.begin(), vector.layers.end(), layer);
    return found == vector.layers.end() ? nullptr : vector.data + (found - vector.layers.begin()) * vector.width;
}

float norm_of(const vector_rows & vector, int layer) {
    if (vector.norms == nullptr) {
        throw error(error_code::NORMS_MISSING,
                    "strengths in norm units need a vector that knows the mean norms of its model's activations: give "
                    "it some with vector.withNorms(meanNorms(activations)), or use unit: \"raw\"");
    }
    const auto found = std::find(vector.layers.begin(), vector.layers.end(), layer);
    const float norm = vector.norms[found - vector.layers.begin()];
    if (!std::isfinite(norm) || norm <= 0) {
        throw error(error_code::NOT_FINITE, "the mean norm" + at_layer(layer) + " is " + std::to_string(norm) +
                                                ": it must be finite and above 0");
    }
    return norm;
}

}  // namespace

/// Fills a direction_set layer by layer.
class direction_set::builder {
public:
    builder(direction_set & target, const direction_request & request) : target_(target), request_(request) {}

    void build(int layer) {
        std::vector<const vector_rows *> here;
        for (const vector_rows & vector : request_.vectors) {
            if (row_of(vector, layer) != nullptr) {
                here.push_back(&vector);
            }
        }
        if (here.empty()) {
            return;
        }
        basis rows(target_.width_);
        for (const vector_rows * vector : here) {
            rows.push(row_of(*vector, layer));
        }
        if (needs_orientation(target_.kind_) && !rows.normalize()) {
            throw error(error_code::ZERO_VECTOR,
                        "a vector is zero" + at_layer(layer) + ", so it has no direction: leave that layer out");
        }
        layer_directions & made = target_.layers_[static_cast<size_t>(layer)];
        made.unit = request_.norm_units ? norm_of(*here.front(), layer) : 1.0F;
        switch (target_.kind_) {
            case operation::add:
                return build_sum(rows, here, layer, made);
            case operation::ablate:
                return build_span(rows, made);
            case operation::rotate:
                return build_plane(rows, layer, made);
            case operation::affine:
                return build_affine(rows, here, layer, made);
            case operation::observe:
                made.count = static_cast<int32_t>(rows.count());
                made.read = keep(rows);
                return;
            case operation::clamp:
            case operation::set:
            case operation::track:
                return build_dual(rows, layer, made);
        }
    }

private:
    void build_sum(basis & rows, const std::vector<const vector_rows *> & here, int layer, layer_directions & made) {
        if (request_.norm_units) {
            for (size_t i = 0; i < here.size(); ++i) {
                if (!rows.scale_to(i, norm_of(*here[i], layer))) {
                    throw error(error_code::ZERO_VECTOR,
                                "a vector is zero" + at_layer(layer) + ": it has no direction to count norms along");
                }
            }
        }
        rows.sum();
        made.count = 1;
        made.write = keep(rows);
    }

    void build_span(basis & rows, layer_directions & made) {
        rows.orthonormalize();
        made.count = static_cast<int32_t>(rows.count());
        made.read = made.write = keep(rows);
    }

    void build_plane(basis & rows, int layer, layer_directions & made) {
        if (rows.count() != 2) {
            throw error(error_code::INVALID_ARGUMENT, "a rotation needs two vectors, both of them" + at_layer(layer));
        }
        rows.orthonormalize();
        if (rows.count() != 2) {
            throw error(error_code::INVALID_ARGUMENT,
                        "the two vectors of a rotation are parallel" + at_layer(layer) + ": they span no plane");
        }
        made.count = 2;
        made.read = made.write = keep(rows);
    }

    void build_dual(basis & rows, int layer, layer_directions & made) {
        made.count = static_cast<int32_t>(rows.count());
        made.read = keep(rows);
        if (rows.count() == 1) {
            made.write = made.read;
            return;
        }
        if (!rows.make_dual()) {
            throw error(error_code::STEERING_CONFLICT,
                        "the vectors are linearly dependent" + at_layer(layer) +
                            ": their projections cannot be set apart from each other. Leave one out, or make them "
                            "independent with orthogonalTo");
        }
        made.write = keep(rows);
    }

    void build_affine(basis & rows, const std::vector<const vector_rows *> & here, int layer, layer_directions & made) {
        basis up(target_.width_);
        for (const vector_rows & vector : request_.up) {
            if (const float * row = row_of(vector, layer)) {
                up.push(row);
            }
        }
        if (here.size() != request_.vectors.size() || up.count() != rows.count()) {
            throw error(error_code::INVALID_ARGUMENT,
                        "an affine map needs as many vectors up as down" + at_layer(layer));
        }
        made.count = static_cast<int32_t>(rows.count());
        made.read = keep(rows);
        made.write = keep(up);
        const float * bias = request_.bias.empty() ? nullptr : row_of(request_.bias.front(), layer);
        if (bias != nullptr) {
            basis copied(target_.width_);
            copied.push(bias);
            made.bias = keep(copied);
        }
    }

    const float * keep(const basis & rows) {
        const size_t count = rows.count() * static_cast<size_t>(target_.width_);
        target_.data_.push_back(std::make_unique<float[]>(count));
        float * to = target_.data_.back().get();
        rows.write(to);
        return to;
    }

    direction_set & target_;
    const direction_request & request_;
};

direction_set::direction_set(const direction_request & request, int n_layers)
    : kind_(request.kind),
      width_(request.vectors.empty() ? 0 : request.vectors.front().width),
      layers_(static_cast<size_t>(n_layers)) {
    if (request.vectors.empty()) {
        throw error(error_code::INVALID_ARGUMENT, "an intervention needs at least one vector");
    }
    for (const auto * vectors : {&request.vectors, &request.up, &request.bias}) {
        for (const vector_rows & vector : *vectors) {
            check_vector(vector, width_, n_layers);
        }
    }
    builder build(*this, request);
    content_hash hash;
    hash.add(kind_).add(width_);
    for (int layer = 0; layer < n_layers; ++layer) {
        build.build(layer);
        if (const layer_directions * made = this->layer(layer)) {
            layers_[static_cast<size_t>(layer)].first = n_vectors_;
            n_vectors_ += made->count;
            const size_t bytes = static_cast<size_t>(made->count * width_) * sizeof(float);
            hash.add(layer).add(made->unit);
            for (const float * part : {made->read, made->write}) {
                hash.bytes(part, part == nullptr ? 0 : bytes);
            }
            hash.bytes(made->bias, made->bias == nullptr ? 0 : static_cast<size_t>(width_) * sizeof(float));
        }
    }
    hash_ = hash.value();
}

direction_set::direction_set(const float * data, int64_t width, const std::vector<int> & layers, int n_layers)
    : direction_set({operation::add, {{data, width, layers, nullptr}}, {}, {}, false}, n_layers) {}

}  // namespace llama_steer
