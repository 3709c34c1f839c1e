#pragma once

#include <cstdint>
#include <memory>

#include <ggml.h>

namespace llama_steer {

struct threadpool_deleter {
    void operator()(ggml_threadpool * pool) const;
};

/// Threads that stay for the life of a context. Without them ggml starts and joins its threads anew in every forward
/// pass, which small models and busy machines feel most (measured: docs/benchmarks.md).
using threadpool_ptr = std::unique_ptr<ggml_threadpool, threadpool_deleter>;

/// A pool of `threads`; null for one thread, which needs none. To be freed after the contexts it is attached to.
threadpool_ptr make_threadpool(int32_t threads);

}  // namespace llama_steer
