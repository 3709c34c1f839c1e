#include "writer_lock.h"

#include "base/error.h"
#include "system_error.h"

#include <cerrno>

#ifdef _WIN32
#ifndef NOMINMAX
#define NOMINMAX
#endif
#include <windows.h>
#else
#include <fcntl.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>
#endif

namespace llama_steer::storage {

namespace {

[[noreturn]] void throw_in_use(const std::filesystem::path & path) {
    throw error(error_code::FILE_IN_USE, "another writer has " + displayed(path.parent_path()) +
                                             " open: close it first, or write to another directory");
}

}  // namespace

#ifdef _WIN32

writer_lock::writer_lock(const std::filesystem::path & directory) : path_(directory / "writer.lock") {
    HANDLE opened = CreateFileW(path_.c_str(), GENERIC_READ | GENERIC_WRITE | DELETE, 0, nullptr, OPEN_ALWAYS,
                                FILE_ATTRIBUTE_NORMAL | FILE_FLAG_DELETE_ON_CLOSE, nullptr);
    if (opened == INVALID_HANDLE_VALUE) {
        if (GetLastError() == ERROR_SHARING_VIOLATION || GetLastError() == ERROR_ACCESS_DENIED) {
            throw_in_use(path_);
        }
        throw_write_failed("cannot lock", path_, last_system_error());
    }
    handle_ = reinterpret_cast<intptr_t>(opened);
}

writer_lock::~writer_lock() { CloseHandle(reinterpret_cast<HANDLE>(handle_)); }

#else

namespace {

/// Whether the path still leads to the open file: a writer that has just ended may have removed it meanwhile.
bool leads_to(const std::filesystem::path & path, int file) {
    struct stat at_path {};
    struct stat opened {};
    return stat(path.c_str(), &at_path) == 0 && fstat(file, &opened) == 0 && at_path.st_ino == opened.st_ino &&
           at_path.st_dev == opened.st_dev;
}

}  // namespace

writer_lock::writer_lock(const std::filesystem::path & directory) : path_(directory / "writer.lock") {
    for (;;) {
        const int file = open(path_.c_str(), O_RDWR | O_CREAT | O_CLOEXEC, 0666);
        if (file == -1) {
            throw_write_failed("cannot open", path_, last_system_error());
        }
        if (flock(file, LOCK_EX | LOCK_NB) != 0) {
            const int number = last_system_error();
            close(file);
            if (number == EWOULDBLOCK) {
                throw_in_use(path_);
            }
            throw_write_failed("cannot lock", path_, number);
        }
        if (leads_to(path_, file)) {
            handle_ = file;
            return;
        }
        close(file);
    }
}

writer_lock::~writer_lock() {
    unlink(path_.c_str());
    close(static_cast<int>(handle_));
}

#endif

}  // namespace llama_steer::storage
