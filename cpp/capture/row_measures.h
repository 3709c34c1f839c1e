#pragma once

#include "base/element_type.h"

#include <cstddef>
#include <cstdint>
#include <functional>

namespace llama_steer {

/// Rows of one layer, [rows][width], one after the other. Borrowed.
struct stored_rows {
    const std::byte * data = nullptr;
    element_type type = element_type::f32;
    int64_t rows = 0;
    int64_t width = 0;
};

/// What a row h has to say of a direction v.
enum class row_measure : uint8_t {
    cosine,      ///< vᵀh / (|v| |h|); 0 for a row of zeros
    projection,  ///< vᵀh / |v|, in the units of the rows
};

/// Writes the measure of every row to `values` [rows], summed up in float64. `direction` [width] must be finite and not
/// zero. `cancelled`, asked now and then, ends it with ABORTED; empty: never. Throws NOT_FINITE (with the row's
/// number), INVALID_ARGUMENT (the direction).
void measure_rows(const stored_rows & rows, const float * direction, row_measure measure,
                  const std::function<bool()> & cancelled, double * values);

/// The mean Euclidean norm of the rows, of which there must be one or more; in float64. Throws NOT_FINITE.
double mean_norm(const stored_rows & rows);

}  // namespace llama_steer
