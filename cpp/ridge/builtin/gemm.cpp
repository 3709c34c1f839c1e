#include "builtin.h"

#include "../parallel.h"

#include <algorithm>
#include <cmath>
#include <vector>

namespace llama_steer::ridge::builtin {

namespace {

// A packed block of a (block_m x block_k) stays in the second-level cache, a panel of b (block_k x nr) in the first,
// all of b's (block_k x block_n) in the last.
constexpr std::size_t block_m = 96;  // a multiple of every mr
constexpr std::size_t block_k = 256;
constexpr std::size_t block_n = 1024;

// Below this a thread costs more than it saves.
constexpr double flops_per_thread = 3e7;

// op(matrix) as the packing sees it: `lane` runs along the tile's side, `k` along the summed dimension.
struct operand {
    const double * data;
    std::size_t lane_stride, k_stride;

    const double * at(std::size_t lane, std::size_t k) const { return data + lane * lane_stride + k * k_stride; }
};

struct product {
    std::size_t n, k;
    double alpha;
    operand a, b;
    matrix_f64 c;
    bool lower;
};

std::size_t round_up(std::size_t value, std::size_t multiple) { return (value + multiple - 1) / multiple * multiple; }

// Panels of `width` lanes, each [k, width]; lanes beyond `lanes` are zero.
void pack(operand source, std::size_t lanes, std::size_t k, std::size_t width, double * out) {
    for (std::size_t first = 0; first < lanes; first += width, out += k * width) {
        const std::size_t used = std::min(width, lanes - first);
        if (source.lane_stride == 1) {
            for (std::size_t p = 0; p < k; p++) std::copy_n(source.at(first, p), used, out + p * width);
        } else {
            for (std::size_t i = 0; i < used; i++) {
                const double * from = source.at(first + i, 0);
                for (std::size_t p = 0; p < k; p++) out[p * width + i] = from[p * source.k_stride];
            }
        }
        for (std::size_t i = used; i < width; i++) {
            for (std::size_t p = 0; p < k; p++) out[p * width + i] = 0;
        }
    }
}

// A tile at the matrix's edge or across its diagonal: into a buffer first, then only the wanted elements.
void partial_tile(const kernel & with, const product & job, std::size_t k, const double * a, const double * b,
                  std::size_t row, std::size_t col, std::size_t rows, std::size_t cols) {
    double buffer[max_mr * max_nr] = {};
    with.tile(k, job.alpha, a, b, buffer, with.nr);
    for (std::size_t i = 0; i < rows; i++) {
        const std::size_t end = job.lower ? std::min(cols, row + i + 1 > col ? row + i + 1 - col : 0) : cols;
        for (std::size_t j = 0; j < end; j++) job.c(row + i, col + j) += buffer[i * with.nr + j];
    }
}

void multiply_block(const kernel & with, const product & job, std::size_t k, const double * a, const double * b,
                    std::size_t row, std::size_t rows, std::size_t col, std::size_t cols) {
    for (std::size_t j = 0; j < cols; j += with.nr) {
        const std::size_t width = std::min(with.nr, cols - j);
        for (std::size_t i = 0; i < rows; i += with.mr) {
            const std::size_t height = std::min(with.mr, rows - i);
            const std::size_t top = row + i, left = col + j;
            if (job.lower && left > top + height - 1) continue;
            const bool whole = width == with.nr && height == with.mr && !(job.lower && left + width - 1 > top);
            const double * panel_a = a + i * k;
            const double * panel_b = b + j * k;
            if (whole) {
                with.tile(k, job.alpha, panel_a, panel_b, &job.c(top, left), job.c.row_stride);
            } else {
                partial_tile(with, job, k, panel_a, panel_b, top, left, height, width);
            }
        }
    }
}

// Rows [begin, end) of the product.
void multiply_rows(const kernel & with, const product & job, std::size_t begin, std::size_t end) {
    // Kept between the many calls of one factorization: at most 2.2 MB a thread.
    thread_local std::vector<double> packed_a, packed_b;
    const std::size_t columns = job.lower ? std::min(job.n, end) : job.n;
    for (std::size_t col = 0; col < columns; col += block_n) {
        const std::size_t cols = std::min(block_n, columns - col);
        const std::size_t first = job.lower ? std::max(begin, col / with.mr * with.mr) : begin;
        for (std::size_t p = 0; p < job.k; p += block_k) {
            const std::size_t k = std::min(block_k, job.k - p);
            packed_b.resize(std::max(packed_b.size(), k * round_up(cols, with.nr)));
            pack({job.b.at(col, p), job.b.lane_stride, job.b.k_stride}, cols, k, with.nr, packed_b.data());
            for (std::size_t row = first; row < end; row += block_m) {
                const std::size_t rows = std::min(block_m, end - row);
                packed_a.resize(std::max(packed_a.size(), k * round_up(rows, with.mr)));
                pack({job.a.at(row, p), job.a.lane_stride, job.a.k_stride}, rows, k, with.mr, packed_a.data());
                multiply_block(with, job, k, packed_a.data(), packed_b.data(), row, rows, col, cols);
            }
        }
    }
}

void scale(double beta, matrix_f64 c, bool lower) {
    if (beta == 1) return;
    for (std::size_t i = 0; i < c.rows; i++) {
        const std::size_t cols = lower ? i + 1 : c.cols;
        if (beta == 0) {
            std::fill_n(c.row(i), cols, 0.0);
        } else {
            for (std::size_t j = 0; j < cols; j++) c(i, j) *= beta;
        }
    }
}

void multiply(const kernel & with, const product & job, double beta, std::size_t threads) {
    scale(beta, job.c, job.lower);
    const std::size_t m = job.c.rows;
    if (m == 0 || job.n == 0 || job.k == 0 || job.alpha == 0) return;

    const double flops = 2.0 * double(m) * double(job.n) * double(job.k) * (job.lower ? 0.5 : 1.0);
    const auto worth = static_cast<std::size_t>(std::min(flops / flops_per_thread, 1e6));
    const std::size_t shares = std::max<std::size_t>(1, std::min({threads, worth, m / with.mr}));
    // Equal areas: of a rectangle by rows, of a lower triangle by their squares.
    const auto edge = [&](std::size_t share) {
        if (share == shares) return m;
        const double part = double(share) / double(shares);
        return std::min(m,
                        round_up(static_cast<std::size_t>(double(m) * (job.lower ? std::sqrt(part) : part)), with.mr));
    };
    run_parallel(shares, [&](std::size_t share) { multiply_rows(with, job, edge(share), edge(share + 1)); });
}

operand lanes_by_row(const_matrix_f64 x) { return {x.data, x.row_stride, 1}; }
operand lanes_by_column(const_matrix_f64 x) { return {x.data, 1, x.row_stride}; }

}  // namespace

void gemm(double alpha, const_matrix_f64 a, transpose op_a, const_matrix_f64 b, transpose op_b, double beta,
          matrix_f64 c, std::size_t threads, const kernel & with) {
    const std::size_t k = op_a == transpose::no ? a.cols : a.rows;
    const operand left = op_a == transpose::no ? lanes_by_row(a) : lanes_by_column(a);
    const operand right = op_b == transpose::no ? lanes_by_column(b) : lanes_by_row(b);
    multiply(with, {c.cols, k, alpha, left, right, c, false}, beta, threads);
}

void syrk(double alpha, const_matrix_f64 a, transpose op_a, double beta, matrix_f64 c, std::size_t threads,
          const kernel & with) {
    const std::size_t k = op_a == transpose::no ? a.cols : a.rows;
    const operand side = op_a == transpose::no ? lanes_by_row(a) : lanes_by_column(a);
    multiply(with, {c.cols, k, alpha, side, side, c, true}, beta, threads);
}

}  // namespace llama_steer::ridge::builtin
