#include "file_sink.h"

#include "file_probe.h"
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
#include <unistd.h>
#endif

namespace llama_steer::storage {

namespace {

/// No system takes more than 2 GiB at once.
constexpr size_t longest_write = size_t{1} << 30;

}  // namespace

void file_sink::write(uint64_t offset, const void * data, size_t size) {
    const size_t allowed = writable(size);
    write_all(offset, data, std::min(size, allowed));
    if (allowed < size) {
        throw_write_failed("cannot write", path_, EIO);
    }
}

void file_sink::check_step(const char * action) const {
    if (writable(1) == 0) {
        throw_write_failed(action, path_, EIO);
    }
}

#ifdef _WIN32

file_sink::file_sink(std::filesystem::path path, mode how) : path_(std::move(path)) {
    HANDLE opened =
        CreateFileW(path_.c_str(), GENERIC_READ | GENERIC_WRITE, FILE_SHARE_READ | FILE_SHARE_WRITE | FILE_SHARE_DELETE,
                    nullptr, how == mode::create ? CREATE_ALWAYS : OPEN_EXISTING, FILE_ATTRIBUTE_NORMAL, nullptr);
    if (opened == INVALID_HANDLE_VALUE) {
        throw_write_failed("cannot open", path_, last_system_error());
    }
    handle_ = reinterpret_cast<intptr_t>(opened);
    DWORD returned = 0;
    DeviceIoControl(opened, FSCTL_SET_SPARSE, nullptr, 0, nullptr, 0, &returned, nullptr);
}

void file_sink::resize(uint64_t size) {
    check_step("cannot size");
    FILE_END_OF_FILE_INFO end;
    end.EndOfFile.QuadPart = static_cast<LONGLONG>(size);
    if (!SetFileInformationByHandle(reinterpret_cast<HANDLE>(handle_), FileEndOfFileInfo, &end, sizeof end)) {
        throw_write_failed("cannot size", path_, last_system_error());
    }
}

void file_sink::write_all(uint64_t offset, const void * data, size_t size) {
    const auto * bytes = static_cast<const char *>(data);
    while (size > 0) {
        OVERLAPPED place{};
        place.Offset = static_cast<DWORD>(offset);
        place.OffsetHigh = static_cast<DWORD>(offset >> 32);
        DWORD written = 0;
        if (!WriteFile(reinterpret_cast<HANDLE>(handle_), bytes, static_cast<DWORD>(std::min(size, longest_write)),
                       &written, &place)) {
            throw_write_failed("cannot write", path_, last_system_error());
        }
        bytes += written;
        offset += written;
        size -= written;
    }
}

void file_sink::sync() {
    check_step("cannot finish writing");
    if (!FlushFileBuffers(reinterpret_cast<HANDLE>(handle_))) {
        throw_write_failed("cannot finish writing", path_, last_system_error());
    }
}

void file_sink::close() noexcept {
    if (handle_ != closed) {
        CloseHandle(reinterpret_cast<HANDLE>(handle_));
        handle_ = closed;
    }
}

#else

file_sink::file_sink(std::filesystem::path path, mode how) : path_(std::move(path)) {
    const int flags = O_RDWR | O_CLOEXEC | (how == mode::create ? O_CREAT | O_TRUNC : 0);
    do {
        handle_ = open(path_.c_str(), flags, 0666);
    } while (handle_ == closed && errno == EINTR);
    if (handle_ == closed) {
        throw_write_failed("cannot open", path_, last_system_error());
    }
}

void file_sink::resize(uint64_t size) {
    check_step("cannot size");
    int status;
    do {
        status = ftruncate(static_cast<int>(handle_), static_cast<off_t>(size));
    } while (status != 0 && errno == EINTR);
    if (status != 0) {
        throw_write_failed("cannot size", path_, last_system_error());
    }
}

void file_sink::write_all(uint64_t offset, const void * data, size_t size) {
    const auto * bytes = static_cast<const char *>(data);
    while (size > 0) {
        const ssize_t written =
            pwrite(static_cast<int>(handle_), bytes, std::min(size, longest_write), static_cast<off_t>(offset));
        if (written < 0 && errno == EINTR) {
            continue;
        }
        if (written <= 0) {
            throw_write_failed("cannot write", path_, written < 0 ? last_system_error() : ENOSPC);
        }
        bytes += written;
        offset += static_cast<uint64_t>(written);
        size -= static_cast<size_t>(written);
    }
}

void file_sink::sync() {
    check_step("cannot finish writing");
#ifdef __APPLE__
    const int status = fcntl(static_cast<int>(handle_), F_FULLFSYNC) == -1 ? fsync(static_cast<int>(handle_)) : 0;
#else
    const int status = fsync(static_cast<int>(handle_));
#endif
    if (status != 0) {
        throw_write_failed("cannot finish writing", path_, last_system_error());
    }
}

void file_sink::close() noexcept {
    if (handle_ != closed) {
        ::close(static_cast<int>(handle_));
        handle_ = closed;
    }
}

#endif

}  // namespace llama_steer::storage
