#pragma once

#include <cstdint>
#include <filesystem>

namespace llama_steer::storage {

/// The right to write to a directory, which one writer has at a time, over all processes. The system takes it back when
/// the process dies, however it does: what is left of a dead writer never blocks. Held on the file `writer.lock`, which
/// goes when the lock is released.
class writer_lock {
public:
    /// Throws FILE_IN_USE, FILE_WRITE_FAILED.
    explicit writer_lock(const std::filesystem::path & directory);
    ~writer_lock();
    writer_lock(const writer_lock &) = delete;
    writer_lock & operator=(const writer_lock &) = delete;

private:
    std::filesystem::path path_;
    intptr_t handle_ = -1;  ///< a file descriptor, or a HANDLE on Windows
};

}  // namespace llama_steer::storage
