#include "steering/add_kernel.h"

namespace llama_steer {

namespace {

void add_scaled(float * __restrict row, const float * __restrict direction, float coefficient, int64_t width) {
    for (int64_t i = 0; i < width; ++i) {
        row[i] += coefficient * direction[i];
    }
}

}  // namespace

void add_terms(float * rows, int64_t width, int64_t row_stride, const coefficients & terms, int layer, int ith,
               int nth) {
    for (int64_t row = ith; row < terms.n_rows(); row += nth) {
        for (const active_term * term = terms.begin(row); term != terms.end(row); ++term) {
            const float * direction = term->directions->layer(layer);
            if (direction != nullptr) {
                add_scaled(rows + row * row_stride, direction, term->coefficient, width);
            }
        }
    }
}

}  // namespace llama_steer
