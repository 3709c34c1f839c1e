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

}  // namespace llama_steer
