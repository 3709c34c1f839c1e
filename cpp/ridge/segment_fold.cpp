// Rows of several places on their way into an accumulator (see moments_accumulator.h for what it promises).
#include "base/error.h"
#include "block_fold.h"

#include <algorithm>
#include <string>
#include <utility>

namespace llama_steer::ridge {

namespace {

constexpr std::size_t piece_bytes = std::size_t(32) << 20;
constexpr std::size_t least_piece_rows = 512;  ///< fewer rows are not worth a pass over d x d sums

/// Consecutive rows of one segment.
struct piece {
    std::size_t segment, row, rows;
    std::size_t number;  ///< of its first row, over all segments
};

std::size_t rows_of(const std::vector<row_block> & segment) { return segment.empty() ? 0 : segment.front().rows; }

bool counts(const segmented_rows & input, std::size_t number) {
    return (!input.groups || input.groups[number] >= 0) && (!input.weights || input.weights[number] != 0);
}

std::size_t rows_at_once(const std::vector<row_block> & segment) {
    std::size_t row = 1;
    for (const row_block & block : segment) row += block.cols * element_bytes(block.type);
    return std::max(least_piece_rows, piece_bytes / row);
}

/// The pieces that have rows that count.
std::vector<piece> divide(const segmented_rows & input) {
    std::vector<piece> pieces;
    std::size_t first = 0;
    for (std::size_t s = 0; s < input.segments.size(); s++) {
        const std::size_t rows = rows_of(input.segments[s]), most = rows_at_once(input.segments[s]);
        std::size_t begin = 0, counted = 0;
        for (std::size_t row = 0; row < rows; row++) {
            if (counts(input, first + row)) counted++;
            if (counted == most || (counted > 0 && row + 1 == rows)) {
                pieces.push_back({s, begin, row + 1 - begin, first + begin});
                begin = row + 1;
                counted = 0;
            }
        }
        first += rows;
    }
    return pieces;
}

void check_counted(const segmented_rows & input, const piece & at, const row_check & check) {
    for (std::size_t begin = 0; begin < at.rows;) {
        std::size_t end = begin;
        while (end < at.rows && counts(input, at.number + end)) end++;
        if (end > begin) check(at.segment, at.row + begin, end - begin);
        begin = end + 1;
    }
}

fold_rows rows_in(const segmented_rows & input, const piece & at) {
    fold_rows rows;
    for (row_block block : input.segments[at.segment]) {
        block.data = static_cast<const char *>(block.data) + at.row * block.row_stride * element_bytes(block.type);
        block.number += at.row;
        block.rows = at.rows;
        rows.layers.push_back(block);
    }
    rows.groups = input.groups ? input.groups + at.number : nullptr;
    rows.group = input.group;
    rows.weights = input.weights ? input.weights + at.number : nullptr;
    return rows;
}

moments_accumulator beside(const moments_shape & shape) {
    try {
        return moments_accumulator(shape);
    } catch (const error & e) {
        throw error(e.code(),
                    std::string("to add these rows all or none, as much memory again is needed: ") + e.what());
    }
}

}  // namespace

void moments_accumulator::fold(const segmented_rows & rows, const row_check & check, const abort_check & aborted) {
    check_usable();
    stop_if(aborted);
    std::size_t total = 0;
    for (const std::vector<row_block> & segment : rows.segments) total += rows_of(segment);
    check_grouping(total, shape_.groups, rows.groups, rows.group, rows.weights);
    const std::vector<piece> pieces = divide(rows);
    if (pieces.size() == 1) {
        check_counted(rows, pieces.front(), check);
        fold(rows_in(rows, pieces.front()), aborted);
        return;
    }
    if (pieces.empty()) return;
    moments_accumulator sum = beside(shape_);
    for (const piece & each : pieces) {
        stop_if(aborted);
        check_counted(rows, each, check);
        const fold_rows block = rows_in(rows, each);
        block_fold work(sum, block, aborted, true);
        work.prepare();
        work.commit();
    }
    stop_if(aborted);
    if (std::all_of(sums_.begin(), sums_.end(), [](const weight_sums & each) { return each.count == 0; })) {
        std::swap(sums_, sum.sums_);
        std::swap(memory_, sum.memory_);
    } else {
        merge(sum);
    }
}

}  // namespace llama_steer::ridge
