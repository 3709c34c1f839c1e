#pragma once

#include "base/stop_matcher.h"
#include "engine/requests.h"

#include <optional>
#include <string>
#include <vector>

namespace llama_steer {

/// Holds the tokens of an answer back while their text could still become part of a stop string.
class stop_filter {
public:
    struct decided_token {
        answer_token token;
        int32_t text_bytes;  ///< how many bytes of its text count; -1: all
    };

    /// Throws INVALID_ARGUMENT for an empty string.
    explicit stop_filter(std::vector<std::string> strings) : matcher_(std::move(strings)) {}

    /// False: there are no stop strings, and nothing is ever held.
    bool active() const { return !matcher_.empty(); }

    /// Takes the next token and its text; not after a stop string was found.
    void push(answer_token token, const std::string & text);

    /// The next token whose text is decided, if there is one. After a stop string, tokens of which nothing comes before
    /// it are dropped, and the one that it begins in counts up to there.
    std::optional<decided_token> next();

    /// No text comes any more: what is held is decided.
    void release() { released_ = true; }

    /// Which of the strings was found.
    std::optional<int32_t> found() const;

private:
    struct held_token {
        answer_token token;
        uint64_t begin;  ///< of its text in the answer, in bytes
        uint64_t end;
    };

    stop_matcher matcher_;
    std::optional<stop_matcher::match> match_;
    std::vector<held_token> held_;
    uint64_t length_ = 0;  ///< of the answer, in bytes
    bool released_ = false;
};

}  // namespace llama_steer
