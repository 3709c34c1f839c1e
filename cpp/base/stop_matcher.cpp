#include "base/stop_matcher.h"

#include "base/error.h"

#include <algorithm>

namespace llama_steer {

namespace {

std::vector<uint32_t> shorter_beginnings(const std::string & string) {
    std::vector<uint32_t> shorter(string.size() + 1, 0);
    uint32_t length = 0;
    for (size_t i = 1; i < string.size(); ++i) {
        while (length > 0 && string[i] != string[length]) {
            length = shorter[length];
        }
        length += string[i] == string[length] ? 1 : 0;
        shorter[i + 1] = length;
    }
    return shorter;
}

}  // namespace

stop_matcher::stop_matcher(std::vector<std::string> strings)
    : strings_(std::move(strings)), matched_(strings_.size(), 0) {
    for (const std::string & string : strings_) {
        if (string.empty()) {
            throw error(error_code::INVALID_ARGUMENT, "a stop string must not be empty");
        }
        shorter_.push_back(shorter_beginnings(string));
    }
}

void stop_matcher::step(size_t string, char byte) {
    const std::string & wanted = strings_[string];
    uint32_t & length = matched_[string];
    while (length > 0 && wanted[length] != byte) {
        length = shorter_[string][length];
    }
    length += wanted[length] == byte ? 1 : 0;
}

std::optional<stop_matcher::match> stop_matcher::read(const char * bytes, size_t count) {
    for (size_t i = 0; i < count; ++i) {
        ++read_;
        open_ = 0;
        std::optional<match> found;
        for (size_t string = 0; string < strings_.size(); ++string) {
            step(string, bytes[i]);
            const uint64_t length = matched_[string];
            if (length == strings_[string].size() && (!found || read_ - length < found->begin)) {
                found = {string, read_ - length};
            }
            open_ = std::max(open_, length);
        }
        if (found) {
            return found;
        }
    }
    return std::nullopt;
}

}  // namespace llama_steer
