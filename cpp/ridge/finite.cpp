#include "finite.h"

#include "base/error.h"

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

[[noreturn]] void refuse(const std::string & where, double value) {
    throw error(error_code::NOT_FINITE, where + " is " +
                                            (std::isnan(value) ? "NaN"
                                             : value > 0       ? "infinity"
                                                               : "-infinity"));
}

}  // namespace

void check_finite(const matrix_view & view, const char * name) {
    for (std::size_t i = 0; i < view.rows; i++) {
        if (!any_not_finite(view.row(i), view.cols)) continue;
        for (std::size_t j = 0; j < view.cols; j++) {
            if (std::isfinite(view(i, j))) continue;
            refuse(std::string(name) + "[row " + std::to_string(i) + ", column " + std::to_string(j) + "]", view(i, j));
        }
    }
}

void check_finite(const double * values, std::size_t count, const char * name) {
    for (std::size_t i = 0; i < count; i++) {
        if (!std::isfinite(values[i])) refuse(std::string(name) + "[" + std::to_string(i) + "]", values[i]);
    }
}

}  // namespace llama_steer::ridge
