#include "finite.h"

#include "base/error.h"
#include "row_block.h"

#include <cmath>
#include <cstdint>
#include <cstring>
#include <string>

namespace llama_steer::ridge {

namespace {

// Whether any exponent is all ones. Integer arithmetic, so that the compiler may use vectors and no flag for fast
// arithmetic can remove it.
bool any_not_finite(const float * values, std::size_t count) {
    constexpr std::uint32_t exponent = 0x7f800000u;
    std::uint32_t found = 0;
    for (std::size_t j = 0; j < count; j++) {
        std::uint32_t bits;
        std::memcpy(&bits, values + j, sizeof bits);
        found |= static_cast<std::uint32_t>((bits & exponent) == exponent);
    }
    return found != 0;
}

bool any_not_finite(const std::uint16_t * half, std::size_t count) {
    constexpr unsigned exponent = 0x7c00u;
    unsigned found = 0;
    for (std::size_t j = 0; j < count; j++) found |= static_cast<unsigned>((half[j] & exponent) == exponent);
    return found != 0;
}

[[noreturn]] void refuse(const std::string & where, double value) {
    throw error(error_code::NOT_FINITE, where + " is " +
                                            (std::isnan(value) ? "NaN"
                                             : value > 0       ? "infinity"
                                                               : "-infinity"));
}

template <typename element>
void check_row(const element * values, std::size_t count, std::size_t row, const char * name) {
    if (!any_not_finite(values, count)) return;
    for (std::size_t j = 0; j < count; j++) {
        const double value = to_double(values[j]);
        if (std::isfinite(value)) continue;
        refuse(std::string(name) + "[row " + std::to_string(row) + ", column " + std::to_string(j) + "]", value);
    }
}

}  // namespace

void check_finite_row(const float * values, std::size_t count, std::size_t row, const char * name) {
    check_row(values, count, row, name);
}

void check_finite_row(const std::uint16_t * half, std::size_t count, std::size_t row, const char * name) {
    check_row(half, count, row, name);
}

void check_finite(const matrix_view & view, const char * name) {
    for (std::size_t i = 0; i < view.rows; i++) check_finite_row(view.row(i), view.cols, i, name);
}

void check_finite(const double * values, std::size_t count, const char * name) {
    for (std::size_t i = 0; i < count; i++) {
        if (!std::isfinite(values[i])) refuse(std::string(name) + "[" + std::to_string(i) + "]", values[i]);
    }
}

}  // namespace llama_steer::ridge
