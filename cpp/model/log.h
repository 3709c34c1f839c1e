#pragma once

#include <string>

namespace llama_steer {

/// Collects what llama.cpp and ggml say at level "error" on this thread while it lives, to put the cause into our own
/// error. Nothing of upstream's log is printed unless LLAMA_STEER_LOG=1 is in the environment.
class log_capture {
public:
    log_capture();
    ~log_capture();
    log_capture(const log_capture &) = delete;
    log_capture & operator=(const log_capture &) = delete;

    /// The error lines so far, joined by "; ", without line ends. Empty if there were none.
    std::string errors() const;

private:
    log_capture * outer_;
    std::string errors_;
    friend struct log_sink;
};

/// Routes upstream's log through us. Idempotent, thread-safe.
void install_log();

}  // namespace llama_steer
