#include "row_converter.h"

#include "base/half.h"

namespace llama_steer::storage {

const void * row_converter::convert(const void * elements, size_t count) {
    overflow_ = count;
    if (from_ == to_) {
        return elements;
    }
    if (to_ == element_type::f16) {
        halves_.resize(count);
        overflow_ = to_half(static_cast<const float *>(elements), count, halves_.data());
        return halves_.data();
    }
    floats_.resize(count);
    to_float(static_cast<const uint16_t *>(elements), count, floats_.data());
    return floats_.data();
}

}  // namespace llama_steer::storage
