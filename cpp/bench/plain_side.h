#pragma once

#include "bench/side.h"
#include "model/model.h"
#include "model/threadpool.h"

#include <llama.h>

#include <memory>
#include <stdexcept>
#include <utility>

namespace llama_steer::bench {

/// The baseline: a llama_context as a program on llama.h alone has it, with nothing of ours in its graphs.
class plain_side : public side {
public:
    explicit plain_side(std::shared_ptr<const model> source, const context_options & options)
        : plain_side(std::move(source), options, nullptr, nullptr) {}

    void decode(const step_batch & batch) override {
        const std::vector<batch_token> & tokens = batch.tokens;
        batch_->n_tokens = static_cast<int32_t>(tokens.size());
        for (size_t i = 0; i < tokens.size(); ++i) {
            batch_->token[i] = tokens[i].token;
            batch_->pos[i] = tokens[i].position;
            batch_->n_seq_id[i] = 1;
            batch_->seq_id[i][0] = tokens[i].sequence;
            batch_->logits[i] = tokens[i].output ? 1 : 0;
        }
        if (llama_decode(handle(), *batch_) != 0) {
            throw std::runtime_error("llama_decode failed");
        }
        llama_synchronize(handle());
    }

    void cut(int32_t sequence, int32_t position) override {
        llama_memory_seq_rm(llama_get_memory(handle()), sequence, position, -1);
    }

    uint64_t graphs_reused() const override {
        return static_cast<uint64_t>(llama_perf_context(handle_.get()).n_reused);
    }

    const float * logits(int32_t index) const { return llama_get_logits_ith(handle(), index); }

    llama_context * handle() const { return handle_.get(); }

protected:
    plain_side(std::shared_ptr<const model> source, const context_options & options,
               ggml_backend_sched_eval_callback callback, void * user_data)
        : source_(std::move(source)), threadpool_(make_threadpool(options.threads)) {
        llama_context_params params = llama_context_default_params();
        params.n_ctx = static_cast<uint32_t>(options.context_size) * static_cast<uint32_t>(options.max_sequences);
        params.n_batch = params.n_ubatch = static_cast<uint32_t>(options.batch_size);
        params.n_seq_max = static_cast<uint32_t>(options.max_sequences);
        params.n_threads = params.n_threads_batch = options.threads;
        params.kv_unified = options.unified_memory;
        params.no_perf = false;
        params.cb_eval = callback;
        params.cb_eval_user_data = user_data;
        handle_.reset(llama_init_from_model(source_->handle(), params));
        if (!handle_) {
            throw std::runtime_error("cannot create a context");
        }
        if (threadpool_) {
            llama_attach_threadpool(handle(), threadpool_.get(), threadpool_.get());
        }
        batch_.reset(new llama_batch(llama_batch_init(static_cast<int32_t>(llama_n_batch(handle())), 0, 1)));
    }

    const model & source() const { return *source_; }

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
    threadpool_ptr threadpool_;  // outlives the context it is attached to
    std::unique_ptr<llama_context, deleter> handle_;
    std::unique_ptr<llama_batch, batch_deleter> batch_;
};

}  // namespace llama_steer::bench
