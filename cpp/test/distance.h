// How far numbers are from others.
#pragma once

#include <cmath>
#include <cstddef>
#include <vector>

namespace llama_steer {

/// The norm of the difference, in parts of the norm of what is expected.
inline double distance(const std::vector<float> & found, const std::vector<float> & expected) {
    double squares = 0;
    double all = 0;
    for (size_t i = 0; i < found.size(); ++i) {
        squares += std::pow(static_cast<double>(found[i]) - static_cast<double>(expected[i]), 2);
        all += std::pow(static_cast<double>(expected[i]), 2);
    }
    return std::sqrt(squares / all);
}

}  // namespace llama_steer
