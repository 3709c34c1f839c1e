#pragma once

#include "base/thread_scratch.h"

#include <cstdint>

struct ggml_tensor;

namespace llama_steer {

// Products of a Q8_0 matrix with the rows of a batch, as two functions for ggml_custom_4d: the columns are quantized
// once for all matrices that read them. Upstream computes blocks of 4 by 4 from the file's layout; here 16 rows of the
// matrix are laid out for the processor's sums of products of bytes and meet all columns, which from two columns on is
// faster. A column's result does not depend on the other columns or on the number of threads.

/// Bytes of quantized columns of `length` (a multiple of 32) numbers.
int64_t q8_columns_bytes(int64_t length, int64_t columns);

/// `result`: bytes, as many as q8_columns_bytes says; its source: float32 [length, columns]. No userdata.
void quantize_q8_columns(ggml_tensor * result, int thread, int threads, void * userdata);

/// `result`: float32 [rows, columns]; its sources: a Q8_0 matrix [length, rows], and quantized columns. `userdata` is a
/// thread_scratch with q8_product_scratch_bytes for each thread.
void compute_q8_product(ggml_tensor * result, int thread, int threads, void * userdata);

int64_t q8_product_scratch_bytes(int64_t length);

}  // namespace llama_steer
