// Moments by their definition, in long double, and blocks of rows to take them of.
#pragma once

#include "ridge_reference.h"

#include "ridge/moments_accumulator.h"

#include <cstdint>
#include <vector>

namespace llama_steer::reference {

/// Of one layer and group.
struct plain_moments {
    double weight = 0, squares = 0;
    std::vector<double> mean, covariance;
};

/// Layers of rows, with groups and weights that occur in any order.
struct block {
    std::size_t layers, rows, width;
    std::vector<float> x;  ///< [layers][rows][width]
    std::vector<std::int32_t> groups;
    std::vector<double> weights;

    const float * row(std::size_t l, std::size_t i) const { return x.data() + (l * rows + i) * width; }

    ridge::fold_rows part(std::size_t first, std::size_t count) const {
        ridge::fold_rows input;
        for (std::size_t l = 0; l < layers; l++) {
            input.layers.push_back({row(l, first), element_type::f32, count, width, width});
        }
        input.groups = groups.data() + first;
        input.weights = weights.data() + first;
        return input;
    }
    ridge::fold_rows all() const { return part(0, rows); }

    plain_moments moments(std::size_t l, std::int32_t group) const {
        std::vector<long double> mean(width), m2(width * width);
        long double weight = 0, squares = 0;
        for (std::size_t i = 0; i < rows; i++) {
            if (groups[i] != group) continue;
            weight += weights[i];
            squares += (long double)weights[i] * weights[i];
            for (std::size_t j = 0; j < width; j++) mean[j] += (long double)weights[i] * row(l, i)[j];
        }
        for (auto & value : mean) value /= weight;
        for (std::size_t i = 0; i < rows; i++) {
            if (groups[i] != group) continue;
            for (std::size_t a = 0; a < width; a++) {
                for (std::size_t b = 0; b < width; b++) {
                    m2[a * width + b] += weights[i] * (row(l, i)[a] - mean[a]) * (row(l, i)[b] - mean[b]);
                }
            }
        }
        plain_moments out{double(weight), double(squares), {}, {}};
        for (const auto value : mean) out.mean.push_back(double(value));
        for (const auto value : m2) out.covariance.push_back(double(value / weight));
        return out;
    }
};

inline block random_block(std::size_t layers, std::size_t rows, std::size_t width, std::size_t groups, unsigned seed,
                          double offset = 3, double spread = 1) {
    gaussian next(seed);
    block made{layers, rows, width, {}, {}, {}};
    for (std::size_t l = 0; l < layers; l++) {
        for (std::size_t i = 0; i < rows; i++) {
            const double common = next();
            for (std::size_t j = 0; j < width; j++) {
                made.x.push_back(float(offset + spread * (next() + common * std::cos(double(j + l)))));
            }
        }
    }
    for (std::size_t i = 0; i < rows; i++) {
        made.groups.push_back(std::int32_t((i * 7 + i / 3) % (groups + 1)) - 1);
        made.weights.push_back(i % 5 == 2 ? 0 : 0.25 + next.uniform());
    }
    return made;
}

inline ridge::moments_shape shape_of(const block & from, std::size_t groups,
                                     ridge::second_moment second = ridge::second_moment::full) {
    ridge::moments_shape shape;
    for (std::size_t l = 0; l < from.layers; l++) shape.layers.push_back(std::int32_t(2 * l + 1));
    shape.groups = groups;
    shape.width = from.width;
    shape.second = second;
    return shape;
}

}  // namespace llama_steer::reference
