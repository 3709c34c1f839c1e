#pragma once

#include <cstddef>
#include <cstdint>
#include <filesystem>
#include <utility>

namespace llama_steer::storage {

/// A file that is written to at given places. Everything throws FILE_WRITE_FAILED with the system's reason; a write
/// that failed may have been done in part. One thread at a time. Not inherited by child processes.
class file_sink {
public:
    /// `create`: empties what is there. `reopen`: the file must exist.
    enum class mode { create, reopen };

    file_sink() = default;
    file_sink(std::filesystem::path path, mode how);
    ~file_sink() { close(); }
    file_sink(file_sink && other) noexcept { swap(other); }
    file_sink & operator=(file_sink && other) noexcept {
        swap(other);
        return *this;
    }

    const std::filesystem::path & path() const { return path_; }
    /// Says that the open file has another name now.
    void renamed(std::filesystem::path path) { path_ = std::move(path); }

    /// Gives the file this size; what is added reads as zeros, and takes no disk space where the file system can help
    /// it.
    void resize(uint64_t size);
    void write(uint64_t offset, const void * data, size_t size);
    /// Returns once everything written lies on the disk.
    void sync();
    void close() noexcept;

private:
    static constexpr intptr_t closed = -1;
    void write_all(uint64_t offset, const void * data, size_t size);
    void check_step(const char * action) const;
    void swap(file_sink & other) noexcept {
        std::swap(path_, other.path_);
        std::swap(handle_, other.handle_);
    }

    std::filesystem::path path_;
    intptr_t handle_ = closed;  ///< a file descriptor, or a HANDLE on Windows
};

}  // namespace llama_steer::storage
