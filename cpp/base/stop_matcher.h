#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>
#include <string>
#include <vector>

namespace llama_steer {

/// Looks for the first of several strings in bytes that come piece by piece. The first to be complete counts; of those
/// complete at the same byte, the longest. Where the pieces are cut changes nothing. Memory is that of the strings;
/// reading allocates nothing.
class stop_matcher {
public:
    struct match {
        size_t string;   ///< which of the strings
        uint64_t begin;  ///< where it begins, in bytes since the first ever read
    };

    /// None of `strings` may be empty: throws INVALID_ARGUMENT.
    explicit stop_matcher(std::vector<std::string> strings);

    bool empty() const { return strings_.empty(); }

    /// Reads on, up to the end of a complete string. Nothing more may be read once it has returned one.
    std::optional<match> read(const char * bytes, size_t count);

    /// Bytes read so far that no string can begin in any more, whatever comes: all but the longest end that is the
    /// beginning of one.
    uint64_t decided() const { return read_ - open_; }

private:
    void step(size_t string, char byte);

    std::vector<std::string> strings_;
    /// Per string and length of a beginning: the next shorter beginning that it ends in.
    std::vector<std::vector<uint32_t>> shorter_;
    std::vector<uint32_t> matched_;  ///< per string: bytes of it that what was read ends in
    uint64_t read_ = 0;
    uint64_t open_ = 0;  ///< the largest of `matched_`
};

}  // namespace llama_steer
