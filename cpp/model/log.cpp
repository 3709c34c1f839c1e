#include "model/log.h"

#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <mutex>

#include <llama.h>

namespace llama_steer {

namespace {

thread_local log_capture * current = nullptr;
thread_local ggml_log_level last_level = GGML_LOG_LEVEL_NONE;

}  // namespace

struct log_sink {
    static void write(ggml_log_level level, const char * text, void *) {
        static const char * const verbose = std::getenv("LLAMA_STEER_LOG");
        if (verbose != nullptr && std::strcmp(verbose, "1") == 0) {
            std::fputs(text, stderr);
        }
        level = level == GGML_LOG_LEVEL_CONT ? last_level : level;
        last_level = level;
        if (level == GGML_LOG_LEVEL_ERROR && current != nullptr) {
            current->errors_ += text;
        }
    }
};

void install_log() {
    static std::once_flag once;
    std::call_once(once, [] { llama_log_set(log_sink::write, nullptr); });
}

log_capture::log_capture() : outer_(current) { current = this; }

log_capture::~log_capture() { current = outer_; }

std::string log_capture::errors() const {
    std::string joined;
    for (const char c : errors_) {
        if (c != '\n') {
            joined += c;
        } else if (joined.size() < 2 || joined.compare(joined.size() - 2, 2, "; ") != 0) {
            joined += "; ";
        }
    }
    if (joined.size() >= 2 && joined.compare(joined.size() - 2, 2, "; ") == 0) {
        joined.resize(joined.size() - 2);
    }
    return joined;
}

}  // namespace llama_steer
