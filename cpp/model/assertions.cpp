#include "model/assertions.h"

#include <cstdio>
#include <mutex>
#include <stdexcept>

#include <ggml.h>

namespace llama_steer {

namespace {

thread_local bool throwing = false;

}  // namespace

assertions_throw::assertions_throw() : outer_(throwing) {
    static std::once_flag once;
    std::call_once(once, [] {
        ggml_set_abort_callback([](const char * message) {
            if (throwing) {
                throw std::runtime_error(message);
            }
            std::fprintf(stderr, "%s\n", message);
        });
    });
    throwing = true;
}

assertions_throw::~assertions_throw() { throwing = outer_; }

}  // namespace llama_steer
