#include "model/backend.h"

#include "model/log.h"

#include <ggml-backend.h>
#include <llama.h>

#include <mutex>

namespace llama_steer {

void init_backend(const std::string & directory) {
    static std::once_flag once;
    std::call_once(once, [&] {
        install_log();
        if (!directory.empty()) {
            ggml_backend_load_all_from_path(directory.c_str());
        }
        llama_backend_init();
    });
}

std::string device_names() {
    std::string names;
    for (size_t i = 0; i < ggml_backend_dev_count(); ++i) {
        names += (i == 0 ? "" : ", ") + std::string(ggml_backend_dev_name(ggml_backend_dev_get(i)));
    }
    return names;
}

}  // namespace llama_steer
