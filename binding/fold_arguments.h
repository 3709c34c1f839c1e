#pragma once

#include "fold_job.h"

#include <napi.h>

#include <memory>

namespace llama_steer {

/// The job that `NativeMoments.add(data, options)` asks for. `data` (Float32Array, or Uint16Array of float16 bits)
/// holds blocks of `capacity` rows; of block slots[i] the first `rows` belong to the accumulator's layer i. Shared
/// memory is borrowed: it must outlive the job and stay as it is; of other memory the rows are copied. `groups` and
/// `weights` are copied. Throws INVALID_ARGUMENT, WIDTH_MISMATCH, BUFFER_DETACHED; groups and weights are checked by
/// the job.
std::shared_ptr<const fold_job> fold_job_of(const std::shared_ptr<ridge::moments_accumulator> & target,
                                            const Napi::Value & data, const Napi::Object & options);

/// The job that `NativeMoments.addFile(reader, options)` asks for: rows [from, from + count) of the file, slots[i] of
/// its layers for the accumulator's layer i. `groups` and `weights`, with one entry for each of these rows, are copied.
/// Throws INVALID_ARGUMENT, WIDTH_MISMATCH, BUFFER_DETACHED, DISPOSED; groups and weights are checked by the job.
std::shared_ptr<const file_fold_job> file_fold_job_of(const std::shared_ptr<ridge::moments_accumulator> & target,
                                                      const Napi::Value & reader, const Napi::Object & options);

}  // namespace llama_steer
