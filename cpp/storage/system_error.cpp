#include "system_error.h"

#include "base/error.h"

#include <cerrno>
#include <system_error>

#ifdef _WIN32
#ifndef NOMINMAX
#define NOMINMAX
#endif
#include <windows.h>
#endif

namespace llama_steer::storage {

namespace {

std::string advice(const std::error_condition & cause) {
    if (cause == std::errc::no_space_on_device
#ifdef EDQUOT
        || cause.value() == EDQUOT
#endif
    ) {
        return ": make room on the disk, then try again; what was written before is kept";
    }
    if (cause == std::errc::file_too_large) {
        return ": the file system or a limit of this process allows no file of this size; use smaller shards, or raise "
               "the limit";
    }
    if (cause == std::errc::permission_denied || cause == std::errc::read_only_file_system) {
        return ": give a place that may be written to";
    }
    return "; what was written before is kept";
}

}  // namespace

std::string displayed(const std::filesystem::path & path) { return path.u8string(); }

std::filesystem::path path_of(const std::string & utf8, const char * name) {
    if (utf8.empty() || utf8.find('\0') != std::string::npos) {
        throw error(error_code::INVALID_ARGUMENT,
                    std::string(name) + (utf8.empty() ? " must not be empty" : " must not hold a null character"));
    }
    return std::filesystem::u8path(utf8);
}

int last_system_error() {
#ifdef _WIN32
    return static_cast<int>(GetLastError());
#else
    return errno;
#endif
}

void throw_write_failed(const std::string & action, const std::filesystem::path & path, int number) {
    const std::error_code cause(number, std::system_category());
    throw error(error_code::FILE_WRITE_FAILED, action + " " + displayed(path) + " (" + cause.message() + ")" +
                                                   advice(cause.default_error_condition()));
}

void throw_read_failed(const std::filesystem::path & path, int number) {
    const std::error_code cause(number, std::system_category());
    const bool missing = cause.default_error_condition() == std::errc::no_such_file_or_directory;
    throw error(missing ? error_code::FILE_NOT_FOUND : error_code::FILE_UNREADABLE,
                "cannot read " + displayed(path) + " (" + cause.message() + ")");
}

}  // namespace llama_steer::storage
