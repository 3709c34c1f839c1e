#pragma once

#include <cstddef>
#include <cstdint>
#include <vector>

namespace llama_steer {

/// Rows of a micro-batch that follow each other and are of one sequence, and the cells of the memory that they see.
struct row_group {
    int32_t stream = 0;     ///< which of the memories, where sequences have separate ones
    int32_t first_row = 0;  ///< among the rows of its stream
    int32_t rows = 0;
    std::vector<int32_t> cells;  ///< those that one row at least sees, ascending
    std::vector<uint64_t> seen;  ///< [rows][words]: bit c % 64 of word c / 64 says whether the row sees cells[c]
    int32_t words = 0;

    /// Which of the 64 cells from cells[64 * word] on a row sees.
    uint64_t seen_by(int32_t row, int32_t word) const { return seen[static_cast<size_t>(row * words + word)]; }
};

/// A mask as upstream fills it: float16, 0 where a row sees a cell and minus infinity where it does not.
struct attention_mask {
    const char * data = nullptr;
    int64_t cells = 0;
    int64_t row_stride = 0;     ///< bytes
    int64_t stream_stride = 0;  ///< bytes; 0 where all streams have the same
};

/// Who sees what in one micro-batch. In a memory that all sequences share, most of the mask says what a row does not
/// see: it is read here once, for all layers and heads. Memory is kept from one micro-batch to the next.
class visible_cells {
public:
    /// Rows of one group at most: as many as make the conversion of keys and values cheap beside their use.
    static constexpr int32_t max_rows = 16;

    /// Divides the rows of a micro-batch, `rows_per_stream` of each stream, by the sequences they are of.
    void divide(const std::vector<int32_t> & sequences, int32_t rows_per_stream);
    /// Reads what each group sees.
    void read(const attention_mask & mask);

    const row_group * begin() const { return groups_.data(); }
    const row_group * end() const { return groups_.data() + count_; }
    int32_t count() const { return count_; }

private:
    std::vector<row_group> groups_;  ///< the first `count_` are in use
    int32_t count_ = 0;
};

}  // namespace llama_steer
