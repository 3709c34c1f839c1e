// Accumulators as bytes, to be kept or sent. Little-endian, nothing aligned or padded, version 1:
//
//   offset      size    what
//   0           8       "LSMOMENT"
//   8           4       u32 version, 1
//   12          4       u32 second moment: 0 none, 1 diagonal, 2 full
//   16          8       u64 layers L
//   24          8       u64 groups G
//   32          8       u64 width d
//   40          4 L     u32 numbers of the layers, ascending
//   then for each layer, for each group:
//               8       u64 number of rows
//               8       f64 sum of weights
//               8       f64 sum of squared weights
//               8 d     f64 mean
//               8 s     f64 M2: s = 0, d, or d (d + 1) / 2, then the lower triangle row by row
//   last        8       u64 CRC-64/XZ of all bytes before (checksum.h)
#pragma once

#include "moments_accumulator.h"

#include <cstddef>
#include <cstdint>

namespace llama_steer::ridge {

std::size_t moments_byte_count(const moments_shape & shape);

/// out [moments_byte_count]. Throws OUT_OF_MEMORY for an accumulator that is lost.
void write_moments(const moments_accumulator & source, std::uint8_t * out);

/// Throws DATA_DAMAGED for what is not such bytes, whole and unchanged, before any memory is taken; OUT_OF_MEMORY.
moments_accumulator read_moments(const std::uint8_t * bytes, std::size_t count);

}  // namespace llama_steer::ridge
