// What the operating system said, as our errors.
#pragma once

#include <filesystem>
#include <string>

namespace llama_steer::storage {

/// The path as UTF-8, for messages.
std::string displayed(const std::filesystem::path & path);

/// A path from UTF-8. Throws INVALID_ARGUMENT for an empty one and for one with a null character.
std::filesystem::path path_of(const std::string & utf8, const char * name);

/// The number of the calling thread's last failed call: errno, or GetLastError() on Windows.
int last_system_error();

/// FILE_WRITE_FAILED for the system's error `number`, saying what to do about a full disk or a size limit. `action` is
/// what failed: "cannot write".
[[noreturn]] void throw_write_failed(const std::string & action, const std::filesystem::path & path, int number);

/// FILE_NOT_FOUND or FILE_UNREADABLE.
[[noreturn]] void throw_read_failed(const std::filesystem::path & path, int number);

}  // namespace llama_steer::storage
