#pragma once

#include <atomic>
#include <cstdint>
#include <optional>
#include <vector>

namespace llama_steer {

/// What an engine knows of each of its sequences.
class sequence_table {
public:
    explicit sequence_table(int32_t count) : positions_(count), states_(count) {}

    struct state {
        /// The last token of an answer: chosen, reported, not yet evaluated. It goes before whatever comes next.
        std::optional<int32_t> pending;
        bool generating = false;
    };

    int32_t count() const { return static_cast<int32_t>(states_.size()); }
    bool exists(int32_t sequence) const { return sequence >= 0 && sequence < count(); }
    state & operator[](int32_t sequence) { return states_[sequence]; }

    /// Tokens evaluated so far; readable from any thread.
    int32_t position(int32_t sequence) const { return positions_[sequence].load(std::memory_order_relaxed); }
    void set_position(int32_t sequence, int32_t position) { positions_[sequence].store(position); }

private:
    std::vector<std::atomic<int32_t>> positions_;
    std::vector<state> states_;
};

}  // namespace llama_steer
