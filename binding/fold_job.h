#pragma once

#include "ridge/moments_accumulator.h"
#include "storage/capture_file_reader.h"

#include <cstdint>
#include <memory>
#include <vector>

namespace llama_steer {

/// The group and the weight of each row, as JavaScript gave them, copied.
struct row_classes {
    std::vector<std::int32_t> groups;  ///< [rows]; empty: all of `group`
    std::int32_t group = 0;
    std::vector<double> weights;  ///< [rows]; empty: all 1

    /// Lets `rows` (fold_rows or segmented_rows) point here.
    template <typename target>
    void give(target & rows) const {
        rows.groups = groups.empty() ? nullptr : groups.data();
        rows.group = group;
        rows.weights = weights.empty() ? nullptr : weights.data();
    }
};

/// Rows on their way into an accumulator: a function that may be called on any thread, once, while no other works on
/// that accumulator. It owns the accumulator and what it holds below; `rows` points there, or to memory that must stay
/// until it was called. Errors and guarantees are moments_accumulator::fold's.
struct fold_job {
    std::shared_ptr<ridge::moments_accumulator> target;
    ridge::fold_rows rows;

    std::vector<float> floats;          ///< rows that were copied
    std::vector<std::uint16_t> halves;  ///< the same of float16
    row_classes classes;

    fold_job() = default;
    fold_job(const fold_job &) = delete;
    fold_job & operator=(const fold_job &) = delete;

    void operator()(const ridge::abort_check & aborted) const { target->fold(rows, aborted); }
};

/// The same of rows [from, from + count) of a capture file, which are read where they lie mapped, each checked against
/// its checksum just before it is summed up. It keeps the file open. Errors also: DATA_DAMAGED, FILE_UNREADABLE. What
/// storage::mapped_file says about touching a mapping holds.
struct file_fold_job {
    std::shared_ptr<ridge::moments_accumulator> target;
    std::shared_ptr<const storage::capture_file_reader> reader;
    std::vector<std::size_t> slots;  ///< of the file, for each layer of the accumulator
    std::uint64_t from = 0, count = 0;
    row_classes classes;

    void operator()(const ridge::abort_check & aborted) const;
};

}  // namespace llama_steer
