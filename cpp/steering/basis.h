#pragma once

#include <cstddef>
#include <cstdint>
#include <vector>

namespace llama_steer {

/// A few vectors of one width in float64, for what is done once when directions are made ready. Rows that depend on
/// others to one part in 1e6 count as dependent: they come from float32.
class basis {
public:
    explicit basis(int64_t width) : width_(width) {}

    /// Appends a vector of [width] floats.
    void push(const float * row);
    size_t count() const { return rows_.size(); }

    /// Scales every vector to length 1. False where one is zero; nothing is said of the others then.
    bool normalize();
    /// Scales one vector to a length. False where it is zero.
    bool scale_to(size_t row, double length);
    /// Replaces the vectors by their sum.
    void sum();
    /// Replaces them by an orthonormal basis of their span, the first along the first of them (Gram-Schmidt, done
    /// twice).
    void orthonormalize();
    /// Replaces them by their dual basis D in the same span, so that V Dᵀ = I. False where they are dependent.
    bool make_dual();

    /// Writes [count][width] floats.
    void write(float * to) const;

private:
    int64_t width_;
    std::vector<std::vector<double>> rows_;
};

}  // namespace llama_steer
