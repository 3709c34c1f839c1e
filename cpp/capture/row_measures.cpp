#include "capture/row_measures.h"

#include "base/error.h"
#include "base/half.h"

#include <algorithm>
#include <array>
#include <cmath>
#include <string>

namespace llama_steer {

namespace {

constexpr int64_t chunk = 512;           // floats of a row at a time: they stay in the first cache
constexpr int64_t lanes = 8;             // independent sums, so that the compiler can use vectors
constexpr int64_t rows_per_check = 256;  // how often to ask whether to stop

/// Sums of one row: of its products with the direction, and of its squares.
struct row_sums {
    double product = 0;
    double square = 0;
};

/// Adds `count` elements. Without a direction only squares.
void add(row_sums & sums, const float * row, const float * direction, int64_t count) {
    std::array<double, lanes> products{};
    std::array<double, lanes> squares{};
    const int64_t even = count - count % lanes;
    for (int64_t i = 0; i < even; i += lanes) {
        for (int64_t lane = 0; lane < lanes; ++lane) {
            const double value = row[i + lane];
            products[lane] += direction != nullptr ? value * direction[i + lane] : 0;
            squares[lane] += value * value;
        }
    }
    for (int64_t i = even; i < count; ++i) {
        const double value = row[i];
        products[i - even] += direction != nullptr ? value * direction[i] : 0;
        squares[i - even] += value * value;
    }
    for (int64_t lane = 0; lane < lanes; ++lane) {
        sums.product += products[lane];
        sums.square += squares[lane];
    }
}

row_sums sums_of(const stored_rows & rows, int64_t row, const float * direction) {
    const std::byte * source = rows.data + row * rows.width * static_cast<int64_t>(element_bytes(rows.type));
    row_sums sums;
    std::array<float, chunk> converted;
    for (int64_t begin = 0; begin < rows.width; begin += chunk) {
        const int64_t count = std::min(chunk, rows.width - begin);
        const float * floats = reinterpret_cast<const float *>(source) + begin;
        if (rows.type == element_type::f16) {
            to_float(reinterpret_cast<const uint16_t *>(source) + begin, static_cast<size_t>(count), converted.data());
            floats = converted.data();
        }
        add(sums, floats, direction == nullptr ? nullptr : direction + begin, count);
    }
    // The squares of floats cannot overflow a double: what is not finite was not.
    if (!std::isfinite(sums.square)) {
        throw error(error_code::NOT_FINITE, "row " + std::to_string(row) + " holds NaN or infinity");
    }
    return sums;
}

double norm_of(const float * direction, int64_t width) {
    row_sums sums;
    add(sums, direction, nullptr, width);
    if (!(sums.square > 0 && std::isfinite(sums.square))) {
        throw error(error_code::INVALID_ARGUMENT, "the vector is zero, or not finite: it has no direction");
    }
    return std::sqrt(sums.square);
}

}  // namespace

void measure_rows(const stored_rows & rows, const float * direction, row_measure measure,
                  const std::function<bool()> & cancelled, double * values) {
    const double norm = norm_of(direction, rows.width);
    for (int64_t row = 0; row < rows.rows; ++row) {
        if (row % rows_per_check == 0 && cancelled && cancelled()) {
            throw error(error_code::ABORTED, "the operation was aborted");
        }
        const row_sums sums = sums_of(rows, row, direction);
        const double projection = sums.product / norm;
        const bool divide = measure == row_measure::cosine && sums.square > 0;
        values[row] = divide ? projection / std::sqrt(sums.square) : projection;
    }
}

double mean_norm(const stored_rows & rows) {
    double sum = 0;
    for (int64_t row = 0; row < rows.rows; ++row) {
        sum += std::sqrt(sums_of(rows, row, nullptr).square);
    }
    return sum / static_cast<double>(rows.rows);
}

}  // namespace llama_steer
