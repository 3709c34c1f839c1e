// The search for NaN and infinity that every fit starts with.
#pragma once

#include "matrix_view.h"

#include <cstddef>
#include <cstdint>

namespace llama_steer::ridge {

/// Throws NOT_FINITE naming the first offending element: "features[row 3, column 17] is NaN". `name` is what the
/// message calls the matrix.
void check_finite(const matrix_view & view, const char * name);

/// The same for one row, which the message calls `row`; float16 as its bits (half.h).
void check_finite_row(const float * values, std::size_t count, std::size_t row, const char * name);
void check_finite_row(const std::uint16_t * half, std::size_t count, std::size_t row, const char * name);

/// The same for a vector: "scores[3] is NaN".
void check_finite(const double * values, std::size_t count, const char * name);

}  // namespace llama_steer::ridge
