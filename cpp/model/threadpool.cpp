#include "model/threadpool.h"

#include <ggml-backend.h>

namespace llama_steer {

namespace {

/// The CPU backend may be a library loaded at run time, so that its functions are asked for by name.
template <typename function>
function cpu_function(const char * name) {
    ggml_backend_dev_t device = ggml_backend_dev_by_type(GGML_BACKEND_DEVICE_TYPE_CPU);
    if (device == nullptr) {
        return nullptr;
    }
    return reinterpret_cast<function>(ggml_backend_reg_get_proc_address(ggml_backend_dev_backend_reg(device), name));
}

}  // namespace

threadpool_ptr make_threadpool(int32_t threads) {
    const auto create = cpu_function<ggml_threadpool * (*)(ggml_threadpool_params *)>("ggml_threadpool_new");
    if (threads < 2 || create == nullptr) {
        return nullptr;
    }
    ggml_threadpool_params params = ggml_threadpool_params_default(threads);
    return threadpool_ptr(create(&params));
}

void threadpool_deleter::operator()(ggml_threadpool * pool) const {
    cpu_function<void (*)(ggml_threadpool *)>("ggml_threadpool_free")(pool);
}

}  // namespace llama_steer
