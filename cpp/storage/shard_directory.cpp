#include "shard_directory.h"

#include "base/error.h"
#include "file_probe.h"
#include "system_error.h"

#include <algorithm>
#include <set>
#include <string>

#ifndef _WIN32
#include <fcntl.h>
#include <unistd.h>
#endif

namespace llama_steer::storage {

namespace fs = std::filesystem;

namespace {

const std::string before_number = "activations-";
const std::string after_number = ".safetensors";
const std::string unpublished = ".unpublished";

bool ends_with(const std::string & text, const std::string & end) {
    return text.size() >= end.size() && text.compare(text.size() - end.size(), end.size(), end) == 0;
}

/// The shard's number, or `max_shards` where the name is no shard's.
uint32_t number_of(const std::string & name) {
    constexpr size_t digits = 5;
    if (name.size() != before_number.size() + digits + after_number.size() ||
        name.compare(0, before_number.size(), before_number) != 0 || !ends_with(name, after_number)) {
        return max_shards;
    }
    const std::string number = name.substr(before_number.size(), digits);
    const bool all_digits = number.find_first_not_of("0123456789") == std::string::npos;
    return all_digits ? static_cast<uint32_t>(std::stoul(number)) : max_shards;
}

std::vector<std::string> names_in(const fs::path & directory) {
    std::error_code failure;
    std::vector<std::string> names;
    fs::directory_iterator at(directory, failure);
    for (; !failure && at != fs::directory_iterator(); at.increment(failure)) {
        names.push_back(at->path().filename().u8string());
    }
    if (failure) {
        throw_read_failed(directory, failure.value());
    }
    return names;
}

}  // namespace

fs::path shard_path(const fs::path & directory, uint32_t shard) {
    const std::string number = std::to_string(shard);
    return directory /
           (before_number + std::string(5 - std::min<size_t>(5, number.size()), '0') + number + after_number);
}

fs::path unpublished_path(const fs::path & shard) {
    fs::path path = shard;
    return path += unpublished;
}

uint32_t count_shards(const fs::path & directory) {
    std::set<uint32_t> numbers;
    for (const std::string & name : names_in(directory)) {
        numbers.insert(number_of(name));
    }
    numbers.erase(max_shards);
    uint32_t count = 0;
    for (const uint32_t number : numbers) {
        if (number != count) {
            throw error(error_code::DATA_DAMAGED, displayed(shard_path(directory, count)) + " is missing");
        }
        ++count;
    }
    return count;
}

void make_directory(const fs::path & directory) {
    std::error_code failure;
    fs::create_directories(directory, failure);
    if (!failure && !fs::is_directory(directory, failure) && !failure) {
        failure = std::make_error_code(std::errc::not_a_directory);
    }
    if (failure) {
        throw_write_failed("cannot make the directory", directory, failure.value());
    }
}

void remove_unpublished(const fs::path & directory) {
    for (const std::string & name : names_in(directory)) {
        if (ends_with(name, after_number + unpublished)) {
            std::error_code ignored;
            fs::remove(directory / fs::u8path(name), ignored);
        }
    }
}

void publish(const fs::path & from, const fs::path & to) {
    std::error_code failure = writable(1) == 0 ? std::make_error_code(std::errc::io_error) : std::error_code();
    if (!failure) {
        fs::rename(from, to, failure);
    }
    if (failure) {
        throw_write_failed("cannot give its name to", to, failure.value());
    }
}

void sync_directory(const fs::path & directory) {
#ifndef _WIN32
    const int opened = open(directory.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (opened != -1) {
        fsync(opened);
        close(opened);
    }
#else
    (void)directory;
#endif
}

}  // namespace llama_steer::storage
