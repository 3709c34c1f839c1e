#pragma once

#include "graph/site_map.h"

#include <cstdint>
#include <functional>
#include <memory>
#include <mutex>
#include <string>

#include <llama.h>

namespace llama_steer {

struct model_options {
    int32_t gpu_layers = 0;  ///< layers to put on a device; negative: all
    /// Called on the loading thread with a fraction in [0, 1]; false aborts the load. May be empty.
    std::function<bool(float)> progress;
};

/// What a loaded model is.
struct model_info {
    std::string architecture;  ///< "qwen3", "llama"...
    std::string description;   ///< upstream's one-line description
    int32_t n_layers = 0;
    int32_t hidden_size = 0;  ///< width of the residual stream
    int32_t vocabulary_size = 0;
    int32_t n_heads = 0;
    int32_t training_context = 0;
    uint64_t n_parameters = 0;
    uint64_t bytes = 0;
    bool recurrent = false;  ///< recurrent or hybrid memory: a sequence cannot be cut back, only cleared
};

/// A loaded GGUF model. Immutable; may be used from any thread at once.
class model {
public:
    /// Loads on the calling thread. Throws FILE_NOT_FOUND, FILE_UNREADABLE, MODEL_INVALID, MODEL_UNSUPPORTED,
    /// OUT_OF_MEMORY, ABORTED.
    static std::shared_ptr<const model> load(const std::string & path, const model_options & options);

    const model_info & info() const { return info_; }
    const llama_vocab * vocabulary() const { return llama_model_get_vocab(handle_.get()); }
    /// The chat template the file carries (Jinja source); empty if none.
    const std::string & chat_template() const { return chat_template_; }
    /// A metadata value as text; empty if the key is absent.
    std::string metadata(const std::string & key) const;

    /// What can be captured, by name and layer. Found by building the model's graph once, in a small context of its
    /// own, which takes some milliseconds and up to seconds on a device: later calls return at once. Throws
    /// OUT_OF_MEMORY.
    const site_table & sites() const;

    /// llama.cpp's handle, for contexts. Never freed by the caller.
    llama_model * handle() const { return handle_.get(); }

private:
    struct deleter {
        void operator()(llama_model * handle) const { llama_model_free(handle); }
    };
    explicit model(llama_model * handle);

    std::unique_ptr<llama_model, deleter> handle_;
    model_info info_;
    std::string chat_template_;
    mutable std::mutex sites_mutex_;
    mutable site_table sites_;
};

}  // namespace llama_steer
