#include "base/error.h"
#include "graph/site_probe.h"
#include "model/assertions.h"
#include "model/log.h"
#include "model/model.h"

namespace llama_steer {

namespace {

site_table probe(llama_model * handle) {
    site_probe client;
    llama_context_params params = llama_context_default_params();
    params.n_ctx = 256;
    params.n_batch = params.n_ubatch = static_cast<uint32_t>(site_probe::n_tokens);
    params.n_seq_max = 1;
    params.n_threads = params.n_threads_batch = 1;
    params.cb_eval = nullptr;
    params.cb_eval_user_data = static_cast<graph_client *>(&client);

    const log_capture log;
    const assertions_throw guard;
    llama_context * context = nullptr;
    try {
        context = llama_init_from_model(handle, params);
    } catch (const std::exception & failure) {
        throw error(error_code::MODEL_INVALID, std::string("the model's graph cannot be built: ") + failure.what());
    }
    if (context == nullptr && log.errors().find("GGML_ASSERT") != std::string::npos) {
        throw error(error_code::MODEL_INVALID, "the model contradicts itself, no context can be made: " + log.errors());
    }
    if (context == nullptr) {
        throw error(error_code::OUT_OF_MEMORY, "cannot create a small context to look at the model: " + log.errors());
    }
    llama_free(context);
    return client.found();
}

}  // namespace

const site_table & model::sites() const {
    const std::lock_guard<std::mutex> lock(sites_mutex_);
    if (sites_.empty()) {
        sites_ = probe(handle_.get());
    }
    return sites_;
}

}  // namespace llama_steer
