#include "mapped_file.h"

#include "base/error.h"
#include "system_error.h"

#include <algorithm>
#include <cerrno>

#ifdef _WIN32
#ifndef NOMINMAX
#define NOMINMAX
#endif
#include <windows.h>
#else
#include <fcntl.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>
#endif

namespace llama_steer::storage {

namespace {

constexpr size_t longest_read = size_t{1} << 30;

}  // namespace

void mapped_file::throw_cut_short() const {
    throw error(error_code::DATA_DAMAGED, displayed(path_) + " was cut short while it was read");
}

void mapped_file::check_size() const {
    if (size_now() < size_) {
        throw_cut_short();
    }
}

mapped_file::~mapped_file() { unmap(); }

#ifdef _WIN32

mapped_file::mapped_file(std::filesystem::path path) : path_(std::move(path)) {
    HANDLE opened = CreateFileW(path_.c_str(), GENERIC_READ, FILE_SHARE_READ | FILE_SHARE_WRITE | FILE_SHARE_DELETE,
                                nullptr, OPEN_EXISTING, FILE_ATTRIBUTE_NORMAL, nullptr);
    if (opened == INVALID_HANDLE_VALUE) {
        throw_read_failed(path_, last_system_error());
    }
    handle_ = reinterpret_cast<intptr_t>(opened);
    size_ = size_now();
    HANDLE mapping = size_ == 0 ? nullptr : CreateFileMappingW(opened, nullptr, PAGE_READONLY, 0, 0, nullptr);
    if (mapping != nullptr) {
        data_ = static_cast<const std::byte *>(MapViewOfFile(mapping, FILE_MAP_READ, 0, 0, 0));
        CloseHandle(mapping);
    }
    if (data_ == nullptr) {
        const int number = last_system_error();
        unmap();
        if (size_ == 0) {
            throw error(error_code::DATA_DAMAGED, displayed(path_) + " is empty");
        }
        throw_read_failed(path_, number);
    }
}

uint64_t mapped_file::size_now() const {
    LARGE_INTEGER size{};
    return GetFileSizeEx(reinterpret_cast<HANDLE>(handle_), &size) ? static_cast<uint64_t>(size.QuadPart) : 0;
}

void mapped_file::read(uint64_t offset, void * into, size_t size) const {
    auto * bytes = static_cast<char *>(into);
    while (size > 0) {
        OVERLAPPED place{};
        place.Offset = static_cast<DWORD>(offset);
        place.OffsetHigh = static_cast<DWORD>(offset >> 32);
        DWORD count = 0;
        if (!ReadFile(reinterpret_cast<HANDLE>(handle_), bytes, static_cast<DWORD>(std::min(size, longest_read)),
                      &count, &place) &&
            GetLastError() != ERROR_HANDLE_EOF) {
            throw_read_failed(path_, last_system_error());
        }
        if (count == 0) {
            throw_cut_short();
        }
        bytes += count;
        offset += count;
        size -= count;
    }
}

void mapped_file::unmap() noexcept {
    if (data_ != nullptr) {
        UnmapViewOfFile(data_);
    }
    CloseHandle(reinterpret_cast<HANDLE>(handle_));
}

#else

mapped_file::mapped_file(std::filesystem::path path) : path_(std::move(path)) {
    do {
        handle_ = open(path_.c_str(), O_RDONLY | O_CLOEXEC | O_NONBLOCK);
    } while (handle_ == -1 && errno == EINTR);
    if (handle_ == -1) {
        throw_read_failed(path_, last_system_error());
    }
    size_ = size_now();
    void * mapped = size_ == 0 ? MAP_FAILED : mmap(nullptr, size_, PROT_READ, MAP_SHARED, static_cast<int>(handle_), 0);
    if (mapped == MAP_FAILED) {
        const int number = last_system_error();
        unmap();
        if (size_ == 0) {
            throw error(error_code::DATA_DAMAGED, displayed(path_) + " is empty, or no file");
        }
        throw_read_failed(path_, number);
    }
    data_ = static_cast<const std::byte *>(mapped);
}

uint64_t mapped_file::size_now() const {
    struct stat status {};
    const bool known = fstat(static_cast<int>(handle_), &status) == 0 && S_ISREG(status.st_mode);
    return known ? static_cast<uint64_t>(status.st_size) : 0;
}

void mapped_file::read(uint64_t offset, void * into, size_t size) const {
    auto * bytes = static_cast<char *>(into);
    while (size > 0) {
        const ssize_t count =
            pread(static_cast<int>(handle_), bytes, std::min(size, longest_read), static_cast<off_t>(offset));
        if (count < 0 && errno == EINTR) {
            continue;
        }
        if (count < 0) {
            throw_read_failed(path_, last_system_error());
        }
        if (count == 0) {
            throw_cut_short();
        }
        bytes += count;
        offset += static_cast<uint64_t>(count);
        size -= static_cast<size_t>(count);
    }
}

void mapped_file::unmap() noexcept {
    if (data_ != nullptr) {
        munmap(const_cast<std::byte *>(data_), size_);
    }
    close(static_cast<int>(handle_));
}

#endif

}  // namespace llama_steer::storage
