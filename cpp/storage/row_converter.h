#pragma once

#include "capture_description.h"

#include <cstddef>
#include <cstdint>
#include <vector>

namespace llama_steer::storage {

/// Turns elements of one type into those of another, in a buffer of its own; hands on what needs no turning.
class row_converter {
public:
    row_converter(element_type from, element_type to) : from_(from), to_(to) {}

    /// `count` elements. Valid until the next call, or as long as `elements` where nothing was to be done.
    const void * convert(const void * elements, size_t count);

    /// Of the elements converted last, the first finite one that a half cannot hold; their count where there is none.
    size_t overflow() const { return overflow_; }

private:
    element_type from_;
    element_type to_;
    size_t overflow_ = 0;
    std::vector<uint16_t> halves_;
    std::vector<float> floats_;
};

}  // namespace llama_steer::storage
