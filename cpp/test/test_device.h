// Where the tests' models lie: on a GPU where this build and this machine have one, so that the same tests hold there.
// LLAMA_STEER_TEST_DEVICE=cpu keeps them on the host.
#pragma once

#include "model/backend.h"
#include "model/model.h"

#include <ggml-backend.h>

#include <cstdlib>
#include <string>

namespace llama_steer::testbed {

inline bool on_device() {
    static const bool found = [] {
        init_backend("");
        const char * wanted = std::getenv("LLAMA_STEER_TEST_DEVICE");
        const bool host = wanted != nullptr && std::string(wanted) == "cpu";
        return !host && ggml_backend_dev_by_type(GGML_BACKEND_DEVICE_TYPE_GPU) != nullptr;
    }();
    return found;
}

inline model_options options_of_test_models() {
    model_options options;
    options.gpu_layers = on_device() ? -1 : 0;
    return options;
}

}  // namespace llama_steer::testbed
