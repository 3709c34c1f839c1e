#pragma once

#include "ridge/moments_accumulator.h"

#include <cstdint>
#include <memory>
#include <vector>

namespace llama_steer {

/// Rows on their way into an accumulator: a function that may be called on any thread, once, while no other works on
/// that accumulator. It owns the accumulator and what it holds below; `rows` points there, or to memory that must stay
/// until it was called. Errors and guarantees are moments_accumulator::fold's.
struct fold_job {
    std::shared_ptr<ridge::moments_accumulator> target;
    ridge::fold_rows rows;

    std::vector<float> floats;          ///< rows that were copied
    std::vector<std::uint16_t> halves;  ///< the same of float16
    std::vector<std::int32_t> groups;
    std::vector<double> weights;

    fold_job() = default;
    fold_job(const fold_job &) = delete;
    fold_job & operator=(const fold_job &) = delete;

    void operator()(const ridge::abort_check & aborted) const { target->fold(rows, aborted); }
};

}  // namespace llama_steer
