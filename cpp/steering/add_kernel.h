#pragma once

#include "steering/coefficients.h"

#include <cstdint>

namespace llama_steer {

/// Adds every row's terms to it, in place: h += c1*v1, then h += c2*v2, ... in float32, product and sum each rounded
/// (no fused multiply-add), so that one term gives the bits of llama.cpp's own control vectors.
///
/// @param rows   [n_rows][width] float32, rows `row_stride` floats apart
/// @param ith, nth  this call handles rows ith, ith + nth, ...
void add_terms(float * rows, int64_t width, int64_t row_stride, const coefficients & terms, int layer, int ith,
               int nth);

}  // namespace llama_steer
