#pragma once

#include "graph/instrumentation.h"
#include "model/cell_count.h"
#include "model/model.h"
#include "model/threadpool.h"

#include <atomic>
#include <memory>
#include <vector>

namespace llama_steer {

enum class flash_attention : uint8_t { automatic, off, on };

struct context_options {
    int32_t max_sequences = 1;
    int32_t context_size = 0;     ///< tokens each sequence can hold; 0: the model's training context
    int32_t memory_tokens = 0;    ///< tokens all sequences can hold together, where unified; 0: context_size each
    int32_t batch_size = 512;     ///< tokens per forward pass
    int32_t prompt_budget = 0;    ///< of them prompt tokens of answers at most; 0: batch_size
    int32_t threads = 0;          ///< 0: the machine's cores
    bool unified_memory = true;   ///< one memory for all sequences: best where their lengths differ
    bool float32_memory = false;  ///< keys and values in float32 instead of float16
    flash_attention attention = flash_attention::automatic;
    bool own_operators = true;  ///< of ours where they are faster; else llama.cpp's alone, bit for bit
};

/// What a context has done, and what its memory holds.
struct context_statistics {
    uint64_t graphs_built = 0;
    uint64_t graphs_reused = 0;
    uint64_t decodes = 0;
    uint64_t tokens = 0;
    uint64_t capture_bytes_copied = 0;  ///< of captured rows, those that no layer could write in place
    int64_t held_tokens = 0;            ///< in the memory; what sequences share counts once
    int64_t promised_tokens = 0;        ///< to come, of all that was asked for: an answer counts to its longest
};

/// One token of a batch.
struct batch_token {
    int32_t token;
    int32_t position;
    int32_t sequence;
    bool output;  ///< whether its logits are wanted
};

enum class decode_status { ok, aborted, no_room };

/// RAII over a llama_context with our instrumentation in its graphs. One thread at a time, apart from `request_abort`.
class context {
public:
    /// Throws INVALID_ARGUMENT, OUT_OF_MEMORY.
    context(std::shared_ptr<const model> source, const context_options & options);
    ~context();

    const model & source() const { return *source_; }
    const context_options & options() const { return options_; }
    instrumentation & graph() { return instrumentation_; }

    /// Runs one forward pass over at most batch_size tokens, whose layout is in graph().layout(). On anything but `ok`
    /// the memory may hold part of the batch: the caller cuts it back. Throws DECODE_FAILED, OUT_OF_MEMORY.
    decode_status decode(const std::vector<batch_token> & batch);

    /// Logits [vocabulary size] of the i-th token of the last batch, which must be an output. Valid until the next
    /// decode.
    const float * logits(int32_t index) const;

    /// Forgets the tokens of `sequence` from `position` on. Returns false, and forgets the whole sequence, where the
    /// memory is recurrent and cannot go back.
    bool cut(int32_t sequence, int32_t position);

    /// Whether the memory still has the first token of `sequence`: models with sliding windows forget it.
    bool holds_beginning(int32_t sequence) const;
    /// Gives `to`, which must be empty, the first `count` tokens of `from`, without computing or copying them. Only
    /// with unified memory.
    void copy_prefix(int32_t from, int32_t to, int32_t count);

    context_statistics statistics() const;

    /// For benchmarks that look at what upstream made of a graph. Borrowed.
    llama_context * handle() const { return handle_.get(); }

    /// Makes a decode in flight return `aborted` soon (checked between graph nodes), from any thread.
    void request_abort() { abort_.store(true); }
    void clear_abort() { abort_.store(false); }
    bool abort_requested() const { return abort_.load(); }

private:
    struct deleter {
        void operator()(llama_context * handle) const { llama_free(handle); }
    };
    struct batch_deleter {
        void operator()(llama_batch * batch) const {
            llama_batch_free(*batch);
            delete batch;
        }
    };

    std::shared_ptr<const model> source_;
    context_options options_;
    instrumentation instrumentation_;
    std::atomic<bool> abort_{false};
    threadpool_ptr threadpool_;  // outlives the context it is attached to
    std::unique_ptr<llama_context, deleter> handle_;
    std::unique_ptr<llama_batch, batch_deleter> batch_;
    cell_count cells_;
    uint64_t decodes_ = 0;
    uint64_t tokens_ = 0;
};

}  // namespace llama_steer
