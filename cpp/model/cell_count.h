#pragma once

#include <cstddef>
#include <cstdint>
#include <vector>

namespace llama_steer {

/// Counts the cells that sequences hold in a memory; one that several sequences share counts once. Decoding thread
/// only.
class cell_count {
public:
    explicit cell_count(int32_t max_sequences) : cells_(static_cast<size_t>(max_sequences)) {}

    /// `sequence` has got a token at `position`, which is its next or takes the place of what was there and after it.
    void add(int32_t sequence, int32_t position) {
        cut(sequence, position);
        cells_[static_cast<size_t>(sequence)].push_back(fresh());
        ++held_;
    }

    void cut(int32_t sequence, int32_t position) {
        std::vector<int32_t> & cells = cells_[static_cast<size_t>(sequence)];
        while (cells.size() > static_cast<size_t>(position)) {
            leave(cells.back());
            cells.pop_back();
        }
    }

    /// Gives `to`, which holds nothing, the first `count` cells of `from`.
    void copy(int32_t from, int32_t to, int32_t count) {
        const std::vector<int32_t> & source = cells_[static_cast<size_t>(from)];
        std::vector<int32_t> & target = cells_[static_cast<size_t>(to)];
        target.assign(source.begin(), source.begin() + count);
        for (const int32_t cell : target) {
            ++users_[static_cast<size_t>(cell)];
        }
    }

    int64_t held() const { return held_; }

private:
    int32_t fresh() {
        if (free_.empty()) {
            free_.push_back(static_cast<int32_t>(users_.size()));
            users_.push_back(0);
        }
        const int32_t cell = free_.back();
        free_.pop_back();
        users_[static_cast<size_t>(cell)] = 1;
        return cell;
    }

    void leave(int32_t cell) {
        if (--users_[static_cast<size_t>(cell)] == 0) {
            free_.push_back(cell);
            --held_;
        }
    }

    std::vector<std::vector<int32_t>> cells_;  ///< of each sequence by position
    std::vector<int32_t> users_;               ///< sequences that hold the cell
    std::vector<int32_t> free_;
    int64_t held_ = 0;
};

}  // namespace llama_steer
