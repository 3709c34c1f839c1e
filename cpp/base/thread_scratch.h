#pragma once

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <vector>

namespace llama_steer {

/// Room for what the threads of a forward pass compute between reading their operands and writing results. Grows and
/// never shrinks; shared by all operators of a context, which are computed one after the other.
class thread_scratch {
public:
    static constexpr size_t alignment = 64;

    /// Makes room for `threads` threads of `bytes` each. Not while computing. Throws std::bad_alloc.
    void reserve(int threads, int64_t bytes) {
        const size_t wanted = (static_cast<size_t>(bytes) + alignment - 1) / alignment * alignment;
        threads_ = std::max(threads_, static_cast<size_t>(threads));
        each_ = std::max(each_, wanted);
        const size_t needed = threads_ * each_ + alignment;
        if (memory_.size() < needed) {
            memory_ = std::vector<uint8_t>();
            memory_.resize(needed);
        }
    }

    /// What a thread has, aligned.
    uint8_t * of(int thread) {
        const auto address = reinterpret_cast<uintptr_t>(memory_.data());
        const uintptr_t begin = (address + alignment - 1) / alignment * alignment;
        return memory_.data() + (begin - address) + static_cast<size_t>(thread) * each_;
    }

private:
    std::vector<uint8_t> memory_;
    size_t threads_ = 0;
    size_t each_ = 0;
};

}  // namespace llama_steer
