#include "steering/direction_set.h"

#include "base/error.h"

#include <cmath>
#include <string>

namespace llama_steer {

direction_set::direction_set(const float * data, int64_t width, const std::vector<int> & layers, int n_layers,
                             int64_t model_width)
    : width_(width), slots_(n_layers, -1), data_(data, data + width * static_cast<int64_t>(layers.size())) {
    if (layers.empty()) {
        throw error(error_code::INVALID_ARGUMENT, "a steering vector needs at least one layer");
    }
    if (width != model_width) {
        throw error(error_code::WIDTH_MISMATCH, "the steering vector is " + std::to_string(width) +
                                                    " wide, the model's hidden size is " + std::to_string(model_width));
    }
    for (size_t i = 0; i < layers.size(); ++i) {
        if (layers[i] < 0 || layers[i] >= n_layers) {
            throw error(error_code::LAYER_OUT_OF_RANGE, "layer " + std::to_string(layers[i]) +
                                                            " does not exist: the model has layers 0 to " +
                                                            std::to_string(n_layers - 1));
        }
        if (slots_[layers[i]] >= 0) {
            throw error(error_code::INVALID_ARGUMENT, "layer " + std::to_string(layers[i]) + " is given twice");
        }
        slots_[layers[i]] = static_cast<int32_t>(i);
    }
    for (size_t i = 0; i < data_.size(); ++i) {
        if (!std::isfinite(data_[i])) {
            throw error(error_code::NOT_FINITE, "the steering vector of layer " + std::to_string(layers[i / width]) +
                                                    " holds " + std::to_string(data_[i]) + " at index " +
                                                    std::to_string(i % width));
        }
    }
}

}  // namespace llama_steer
