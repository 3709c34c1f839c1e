#pragma once

#include <cstddef>
#include <cstdint>
#include <filesystem>

namespace llama_steer::storage {

/// A file for reading, in two ways. `read` copies: whatever another process or a failing disk does to the file, it
/// throws. `data` is the file in memory, for readers that would rather not copy; touching it is safe as long as the
/// file keeps its size, which `check_size` asks. A file that another process cuts short between that and the touch, or
/// a sector that cannot be read, ends the process (SIGBUS): no library can prevent that. Any thread.
class mapped_file {
public:
    /// Throws FILE_NOT_FOUND, FILE_UNREADABLE; DATA_DAMAGED for an empty file.
    explicit mapped_file(std::filesystem::path path);
    ~mapped_file();
    mapped_file(const mapped_file &) = delete;
    mapped_file & operator=(const mapped_file &) = delete;

    const std::filesystem::path & path() const { return path_; }
    /// The size that the file had when it was opened.
    uint64_t size() const { return size_; }
    const std::byte * data() const { return data_; }

    /// Throws DATA_DAMAGED where the file is shorter now than it was.
    void check_size() const;
    /// Throws DATA_DAMAGED where the file ends before offset + size, FILE_UNREADABLE where the disk fails.
    void read(uint64_t offset, void * into, size_t size) const;

private:
    uint64_t size_now() const;
    void unmap() noexcept;
    [[noreturn]] void throw_cut_short() const;

    std::filesystem::path path_;
    intptr_t handle_ = -1;  ///< a file descriptor, or a HANDLE on Windows
    uint64_t size_ = 0;
    const std::byte * data_ = nullptr;
};

}  // namespace llama_steer::storage
