#pragma once

#include <cstdint>
#include <string>
#include <vector>

namespace llama_steer::synthetic {

/// One tensor of a model file and how its elements are distributed.
struct tensor_spec {
    std::string name;
    std::vector<int64_t> shape;  ///< row length first, as ggml's ne
    float mean;
    float deviation;   ///< standard deviation; elements lie within 3.5 of it around the mean
    bool weight_type;  ///< true: stored as the model's weight type, mean 0; false: float32

    int64_t elements() const {
        int64_t count = 1;
        for (const int64_t size : shape) {
            count *= size;
        }
        return count;
    }
};

}  // namespace llama_steer::synthetic
