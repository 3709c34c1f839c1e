#pragma once

#include <napi.h>

namespace llama_steer {

// Calls that measure captured rows. A source of rows is { data: Float32Array | Uint16Array of halves, slots:
// Int32Array, capacity, rows: Int32Array }: of block slots[i] of `capacity` rows the first rows[i] belong to layer i.

/// searchConditions({ positive: [source], negative: [source], layers: Int32Array, vector: Float32Array of
/// [layers][width], measure as in row_measure, side as in condition_side }) -> { promise, cancel() } of one {
/// threshold, above, f1, precision, recall, margin, positiveMean, negativeMean } for each layer. Shared memory is read
/// where it is, on another thread. Rejects with EMPTY_CLASS, NOT_FINITE, INVALID_ARGUMENT, ABORTED.
Napi::Value search_conditions(const Napi::CallbackInfo & info);

/// meanNorms(source, layers: Int32Array, width, into: Float32Array): the mean norm of each layer's rows, at once.
/// Returns `into`. Throws NOT_FINITE, EMPTY_CLASS.
Napi::Value mean_norms(const Napi::CallbackInfo & info);

}  // namespace llama_steer
