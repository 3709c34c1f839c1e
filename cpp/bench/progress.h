#pragma once

#include <chrono>
#include <cstdio>
#include <string>

#ifdef _WIN32
#include <io.h>
#else
#include <unistd.h>
#endif

namespace llama_steer::bench {

/// One line on standard error that says how far the run is: rewritten on a terminal, else a new one every ten seconds.
class progress {
public:
    progress() = default;
    ~progress() {
        if (terminal_ && !shown_.empty()) {
            std::fprintf(stderr, "\r%*s\r", static_cast<int>(shown_.size()), "");
        }
    }
    progress(const progress &) = delete;
    progress & operator=(const progress &) = delete;

    void say(const std::string & line) {
        const auto now = std::chrono::steady_clock::now();
        if (terminal_) {
            std::fprintf(stderr, "\r%-*s", static_cast<int>(shown_.size()), line.c_str());
            shown_ = line;
        } else if (shown_.empty() || now - last_ > std::chrono::seconds(10)) {
            std::fprintf(stderr, "%s\n", line.c_str());
            shown_ = line;
            last_ = now;
        }
        std::fflush(stderr);
    }

private:
    static bool is_terminal() {
#ifdef _WIN32
        return _isatty(_fileno(stderr)) != 0;
#else
        return isatty(fileno(stderr)) != 0;
#endif
    }

    bool terminal_ = is_terminal();
    std::string shown_;
    std::chrono::steady_clock::time_point last_;
};

}  // namespace llama_steer::bench
