#include "packed_lower.h"

#include "blas.h"
#include "moments.h"

#include <algorithm>

namespace llama_steer::ridge {

namespace {

constexpr std::size_t panel = 256;

std::size_t panel_begin(std::size_t p) { return panel * panel * (p * (p + 1) / 2); }

}  // namespace

std::size_t packed_size(std::size_t order) {
    const std::size_t whole = order / panel;
    return panel_begin(whole) + (order - whole * panel) * order;
}

const double * packed_row(const double * packed, std::size_t order, std::size_t i) {
    const std::size_t p = i / panel;
    const std::size_t stride = std::min(order, (p + 1) * panel);
    return packed + panel_begin(p) + (i - p * panel) * stride;
}

void packed_lower::add_gram(const_matrix_f64 rows) const {
    for (std::size_t top = 0; top < order; top += panel) {
        const std::size_t height = std::min(panel, order - top);
        const matrix_f64 target(row(top), height, top + height);
        const const_matrix_f64 own = rows.block(0, top, rows.rows, height);
        if (top > 0) {
            gemm(1, own, transpose::yes, rows.block(0, 0, rows.rows, top), transpose::no, 1,
                 target.block(0, 0, height, top));
        }
        syrk(1, own, transpose::yes, 1, target.block(0, top, height, height));
    }
}

void packed_lower::add(const double * other, double factor, const double * x) const {
    for (std::size_t i = 0; i < order; i++) {
        double * to = row(i);
        const double * from = other + (to - data);
        const double scale = factor * x[i];
        for (std::size_t j = 0; j <= i; j++) to[j] += from[j] + scale * x[j];
    }
}

void packed_lower::copy_to(matrix_f64 out, double divisor) const {
    for (std::size_t i = 0; i < order; i++) {
        const double * from = row(i);
        for (std::size_t j = 0; j <= i; j++) out(i, j) = from[j] / divisor;
    }
    mirror_lower(out);
}

}  // namespace llama_steer::ridge
