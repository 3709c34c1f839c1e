#pragma once

#include <cstdint>

namespace llama_steer {

/// Rows of a matrix whose products are computed together: as many as a vector has lanes.
constexpr int64_t panel_rows = 16;

/// Numbers that share a scale in ggml's Q8_0: 32 signed bytes behind a float16.
constexpr int64_t q8_block = 32;
constexpr int64_t q8_block_bytes = 34;

/// Columns of float32 numbers turned into signed bytes, with a scale for each block of 32: [blocks][columns] each, so
/// that what is read together lies together.
struct q8_columns {
    int64_t blocks;  ///< of one column
    int64_t columns;
    int8_t * numbers;  ///< [blocks][columns][32]
    float * scales;    ///< [blocks][columns]
    int32_t * shifts;  ///< [blocks][columns]: -128 times the sum of the block's numbers

    static int64_t bytes(int64_t blocks, int64_t columns) { return blocks * columns * (q8_block + 8); }
    /// The parts of a piece of memory of that many bytes, aligned for floats.
    static q8_columns in(void * memory, int64_t blocks, int64_t columns) {
        auto * numbers = static_cast<int8_t *>(memory);
        auto * scales = reinterpret_cast<float *>(numbers + blocks * columns * q8_block);
        return {blocks, columns, numbers, scales, reinterpret_cast<int32_t *>(scales + blocks * columns)};
    }
};

/// A panel of rows as the kernel reads it: four numbers of each row beside each other, and all of them shifted by 128,
/// since the processor multiplies bytes without a sign by bytes with one.
struct q8_panel {
    uint8_t * numbers;  ///< [blocks][8][panel_rows][4], aligned to 64 bytes
    float * scales;     ///< [blocks][panel_rows], aligned to 64 bytes

    static int64_t bytes(int64_t blocks) { return blocks * panel_rows * (q8_block + 4); }
    static q8_panel in(uint8_t * memory, int64_t blocks) {
        return {memory, reinterpret_cast<float *>(memory + blocks * panel_rows * q8_block)};
    }
};

/// Products of a Q8_0 matrix for one kind of processor.
struct q8_kernel {
    const char * name;

    /// One column of float32 numbers, each rounded to its block's largest / 127.
    void (*quantize)(const float * from, const q8_columns & to, int64_t column);

    /// Rows of a matrix, `row_bytes` apart; those that a panel has beyond `rows` are zeros.
    void (*pack)(const char * matrix, int64_t row_bytes, int64_t rows, int64_t blocks, const q8_panel & to);

    /// to[column * stride + row] = panel row . column, for the panel's first `rows` rows. Products of bytes are summed
    /// exactly in each block, blocks in float32 in their order, so that a column's result does not depend on the
    /// others.
    void (*multiply)(const q8_panel & panel, const q8_columns & columns, int64_t rows, float * to, int64_t stride);
};

/// Null where this processor has no instruction for sums of products of bytes (AVX-512 VNNI).
const q8_kernel * supported_q8_kernel();

}  // namespace llama_steer
