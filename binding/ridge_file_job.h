#pragma once

#include "ridge/ridge_accumulator.h"
#include "storage/capture_file_reader.h"

#include <napi.h>

#include <cstdint>
#include <functional>
#include <memory>
#include <vector>

namespace llama_steer {

/// Rows [from, from + count) of one layer of a capture file on their way into an accumulator. They are read where they
/// lie mapped, piece by piece, each row checked against its checksum just before it is summed up. It owns what it holds
/// and keeps the file open. What storage::mapped_file says about touching a mapping holds.
struct ridge_file_job {
    std::shared_ptr<ridge::ridge_accumulator> target;
    std::shared_ptr<const storage::capture_file_reader> reader;
    std::size_t slot = 0;  ///< of the file's layers
    std::uint64_t from = 0, count = 0;
    std::vector<double> targets;  ///< [count, k]
    std::vector<double> weights;  ///< [count]; empty: all 1

    /// To be called on any thread, once, while nothing else works on the accumulator. All or nothing; more than one
    /// piece takes as much memory again as the accumulator has. `progress` gets the fraction done. Errors: as
    /// ridge_accumulator::add; DATA_DAMAGED, FILE_UNREADABLE.
    void operator()(const ridge::abort_check & aborted, const std::function<void(double)> & progress) const;
};

/// From a NativeCaptureReader and { slot, from, count, targets, weights? }. Throws INVALID_ARGUMENT, WIDTH_MISMATCH,
/// BUFFER_DETACHED, DISPOSED.
std::shared_ptr<const ridge_file_job> ridge_file_job_of(const std::shared_ptr<ridge::ridge_accumulator> & target,
                                                        const Napi::Value & reader, const Napi::Object & options);

}  // namespace llama_steer
