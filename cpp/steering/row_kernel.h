#pragma once

#include "steering/row_programs.h"

#include <cstdint>

namespace llama_steer {

/// Rows of one site of one layer.
struct site_rows {
    float * data;  ///< [count][width] float32
    int64_t count;
    int64_t width;
    int64_t row_stride;  ///< floats from a row to the next
    int32_t site;
    int layer;
};

/// Does to every row what its program says for this site and layer, in place: first what is measured of the row as it
/// arrives, then its interventions in order, while the row is in the cache. Arithmetic in float32, projections and
/// norms summed in float64; additions one after the other with product and sum each rounded, so that one addition gives
/// the bits of llama.cpp's own control vectors.
///
/// @param ith, nth  this call handles rows ith, ith + nth, ...
void run_programs(const site_rows & rows, const row_programs & programs, int ith, int nth);

}  // namespace llama_steer
