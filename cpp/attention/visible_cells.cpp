#include "attention/visible_cells.h"

#include <algorithm>
#include <array>

namespace llama_steer {

namespace {

constexpr int64_t word_cells = 64;
constexpr uint16_t unseen = 0xfc00;  // minus infinity

/// Bit i: whether halves[i] is not minus infinity, of `count` up to 64.
uint64_t seen_bits(const uint16_t * halves, int64_t count) {
    uint16_t differing = 0;
    for (int64_t i = 0; i < count; ++i) {
        differing = static_cast<uint16_t>(differing | (halves[i] ^ unseen));
    }
    if (differing == 0) {
        return 0;
    }
    uint64_t bits = 0;
    for (int64_t i = 0; i < count; ++i) {
        bits |= static_cast<uint64_t>(halves[i] != unseen) << i;
    }
    return bits;
}

int32_t count_bits(uint64_t bits) {
    int32_t count = 0;
    for (; bits != 0; bits &= bits - 1) {
        ++count;
    }
    return count;
}

/// The bits of `bits` at the places of `among`, moved together.
uint64_t gathered(uint64_t bits, uint64_t among, int32_t count) {
    if (bits == among) {
        return count == word_cells ? ~uint64_t{0} : (uint64_t{1} << count) - 1;
    }
    uint64_t result = 0;
    for (int32_t to = 0; among != 0; ++to) {
        const uint64_t lowest = among & (~among + 1);
        result |= static_cast<uint64_t>((bits & lowest) != 0) << to;
        among ^= lowest;
    }
    return result;
}

/// Sets the bits from place `at` of a row of words.
void append_bits(uint64_t * words, int32_t at, uint64_t bits) {
    const int32_t shift = at % static_cast<int32_t>(word_cells);
    words[at / word_cells] |= bits << shift;
    const uint64_t rest = shift == 0 ? 0 : bits >> (word_cells - shift);
    if (rest != 0) {
        words[at / word_cells + 1] |= rest;
    }
}

void append_cells(std::vector<int32_t> & cells, int64_t first, uint64_t bits) {
    for (int64_t i = 0; bits != 0; ++i, bits >>= 1) {
        if ((bits & 1) != 0) {
            cells.push_back(static_cast<int32_t>(first + i));
        }
    }
}

void read_group(row_group & group, const attention_mask & mask) {
    // A word more than there can be: of the last one, bits may run over.
    const int64_t most = (mask.cells + word_cells - 1) / word_cells + 1;
    group.words = static_cast<int32_t>(most);
    group.cells.clear();
    group.seen.assign(static_cast<size_t>(most * group.rows), 0);

    const char * const rows = mask.data + group.stream * mask.stream_stride + group.first_row * mask.row_stride;
    std::array<uint64_t, visible_cells::max_rows> bits;
    for (int64_t first = 0; first < mask.cells; first += word_cells) {
        const int64_t count = std::min(word_cells, mask.cells - first);
        uint64_t any = 0;
        for (int32_t row = 0; row < group.rows; ++row) {
            bits[row] = seen_bits(reinterpret_cast<const uint16_t *>(rows + row * mask.row_stride) + first, count);
            any |= bits[row];
        }
        if (any == 0) {
            continue;
        }
        const auto at = static_cast<int32_t>(group.cells.size());
        const int32_t added = count_bits(any);
        append_cells(group.cells, first, any);
        for (int32_t row = 0; row < group.rows; ++row) {
            append_bits(group.seen.data() + row * most, at, gathered(bits[row], any, added));
        }
    }
}

}  // namespace

void visible_cells::divide(const std::vector<int32_t> & sequences, int32_t rows_per_stream) {
    count_ = 0;
    const auto n_rows = static_cast<int32_t>(sequences.size());
    for (int32_t row = 0; row < n_rows;) {
        const int32_t stream_end = (row / rows_per_stream + 1) * rows_per_stream;
        const int32_t limit = std::min({n_rows, stream_end, row + max_rows});
        int32_t end = row + 1;
        while (end < limit && sequences[end] == sequences[row]) {
            ++end;
        }
        if (static_cast<size_t>(count_) == groups_.size()) {
            groups_.emplace_back();
        }
        row_group & group = groups_[count_++];
        group.stream = row / rows_per_stream;
        group.first_row = row % rows_per_stream;
        group.rows = end - row;
        row = end;
    }
}

void visible_cells::read(const attention_mask & mask) {
    for (int32_t i = 0; i < count_; ++i) {
        read_group(groups_[i], mask);
    }
}

}  // namespace llama_steer
