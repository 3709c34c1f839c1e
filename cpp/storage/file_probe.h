#pragma once

#include <atomic>
#include <cstddef>

namespace llama_steer::storage {

/// Lets tests break any step that changes a file. It is asked how many of `bytes` may be written (1 stands for a step
/// that writes none); where it says fewer, the step does that much and fails as if the device had. Null: all.
using file_probe = size_t (*)(size_t bytes);
inline std::atomic<file_probe> probe_of_writes{nullptr};

inline size_t writable(size_t bytes) {
    const file_probe probe = probe_of_writes.load(std::memory_order_relaxed);
    return probe == nullptr ? bytes : probe(bytes);
}

}  // namespace llama_steer::storage
