#include "model/context.h"

#include "base/error.h"
#include "model/assertions.h"
#include "model/log.h"

#include <algorithm>
#include <new>
#include <thread>

namespace llama_steer {

namespace {

void require(bool valid, const std::string & message) {
    if (!valid) {
        throw error(error_code::INVALID_ARGUMENT, message);
    }
}

context_options checked(context_options options, const model & source) {
    const auto limit = static_cast<int32_t>(llama_max_parallel_sequences());
    require(options.max_sequences >= 1 && options.max_sequences <= limit,
            "sequences must be 1 to " + std::to_string(limit));
    require(options.context_size >= 0 && options.context_size <= 1 << 24, "contextSize must be 0 to 16777216");
    require(options.batch_size >= 1 && options.batch_size <= 1 << 16, "batchSize must be 1 to 65536");
    require(options.threads >= 0 && options.threads <= 512, "threads must be 0 (all cores) to 512");
    if (options.context_size == 0) {
        options.context_size = source.info().training_context;
    }
    require(static_cast<int64_t>(options.context_size) * options.max_sequences <= INT32_MAX,
            "contextSize times sequences is too large");
    require(options.memory_tokens >= 0 && (options.memory_tokens == 0 || options.unified_memory),
            "memoryTokens must be 1 or more, and goes with a unified memory only");
    if (options.memory_tokens == 0) {
        options.memory_tokens = options.context_size * options.max_sequences;
    }
    require(options.memory_tokens >= options.max_sequences,
            "memoryTokens must be one for each sequence at least: " + std::to_string(options.max_sequences));
    options.memory_tokens = std::min(options.memory_tokens, options.context_size * options.max_sequences);
    require(options.prompt_budget >= 0 && options.prompt_budget <= 1 << 16, "promptBudget must be 0 to 65536");
    // A batch holds at least one token of every sequence, or a step of all of them would not fit.
    options.batch_size = std::max(options.batch_size, options.max_sequences);
    if (options.threads == 0) {
        options.threads = static_cast<int32_t>(std::max(1U, std::thread::hardware_concurrency()));
    }
    return options;
}

llama_flash_attn_type upstream_type(flash_attention attention) {
    switch (attention) {
        case flash_attention::off:
            return LLAMA_FLASH_ATTN_TYPE_DISABLED;
        case flash_attention::on:
            return LLAMA_FLASH_ATTN_TYPE_ENABLED;
        case flash_attention::automatic:
            break;
    }
    return LLAMA_FLASH_ATTN_TYPE_AUTO;
}

}  // namespace

context::context(std::shared_ptr<const model> source, const context_options & options)
    : source_(std::move(source)),
      options_(checked(options, *source_)),
      instrumentation_(options_.max_sequences, source_->info().n_layers),
      cells_(options_.max_sequences) {
    llama_context_params params = llama_context_default_params();
    params.n_ctx = static_cast<uint32_t>(options_.memory_tokens);
    params.n_batch = static_cast<uint32_t>(options_.batch_size);
    params.n_ubatch = params.n_batch;
    params.n_seq_max = static_cast<uint32_t>(options_.max_sequences);
    params.n_threads = options_.threads;
    params.n_threads_batch = options_.threads;
    params.kv_unified = options_.unified_memory;
    params.type_k = params.type_v = options_.float32_memory ? GGML_TYPE_F32 : GGML_TYPE_F16;
    params.flash_attn_type = upstream_type(options_.attention);
    params.no_perf = false;
    params.cb_eval = nullptr;
    params.cb_eval_user_data = static_cast<graph_client *>(&instrumentation_);
    params.abort_callback = [](void * flag) { return static_cast<std::atomic<bool> *>(flag)->load(); };
    params.abort_callback_data = &abort_;

    own_operators & ours = instrumentation_.operators();
    ours.enabled = options_.own_operators;
    ours.threads = options_.threads;
    ours.n_layers = source_->info().n_layers;

    const log_capture log;
    const assertions_throw guard;
    try {
        handle_.reset(llama_init_from_model(source_->handle(), params));
    } catch (const std::exception &) {
        handle_.reset();
    }
    if (!handle_ && log.errors().find("GGML_ASSERT") != std::string::npos) {
        throw error(error_code::MODEL_INVALID, "the model contradicts itself, no context can be made: " + log.errors());
    }
    if (!handle_) {
        throw error(error_code::OUT_OF_MEMORY, "cannot create a context of " + std::to_string(options_.max_sequences) +
                                                   " sequences of " + std::to_string(options_.context_size) +
                                                   " tokens: " + log.errors() + ". Lower contextSize or sequences");
    }
    threadpool_ = make_threadpool(options_.threads);
    if (threadpool_) {
        llama_attach_threadpool(handle_.get(), threadpool_.get(), threadpool_.get());
    }
    // Upstream never makes batches larger than the whole memory.
    options_.batch_size = static_cast<int32_t>(llama_n_batch(handle_.get()));
    if (options_.prompt_budget == 0) {
        options_.prompt_budget = options_.batch_size;
    }
    batch_.reset(new llama_batch(llama_batch_init(options_.batch_size, 0, 1)));
}

context::~context() = default;

decode_status context::decode(const std::vector<batch_token> & batch) {
    const log_capture log;
    batch_->n_tokens = static_cast<int32_t>(batch.size());
    for (size_t i = 0; i < batch.size(); ++i) {
        batch_->token[i] = batch[i].token;
        batch_->pos[i] = batch[i].position;
        batch_->n_seq_id[i] = 1;
        batch_->seq_id[i][0] = batch[i].sequence;
        batch_->logits[i] = batch[i].output ? 1 : 0;
    }
    instrumentation_.reports().clear();
    int32_t status = 0;
    try {
        status = llama_decode(handle_.get(), *batch_);
        llama_synchronize(handle_.get());
    } catch (const std::bad_alloc &) {
        throw error(error_code::OUT_OF_MEMORY, "not enough memory for a batch of " + std::to_string(batch.size()));
    } catch (const std::exception & failure) {
        throw error(error_code::DECODE_FAILED, std::string("the forward pass failed: ") + failure.what());
    }
    if (status == 2) {
        return decode_status::aborted;
    }
    if (status == 1) {
        return decode_status::no_room;
    }
    if (status != 0) {
        throw error(error_code::DECODE_FAILED, "the forward pass failed: " + log.errors());
    }
    for (const batch_token & each : batch) {
        instrumentation_.identify(each.sequence, each.position, each.token, each.output);
        cells_.add(each.sequence, each.position);
    }
    ++decodes_;
    tokens_ += batch.size();
    return decode_status::ok;
}

const float * context::logits(int32_t index) const { return llama_get_logits_ith(handle_.get(), index); }

bool context::cut(int32_t sequence, int32_t position) {
    llama_memory_t memory = llama_get_memory(handle_.get());
    instrumentation_.forget(sequence, position);
    cells_.cut(sequence, position);
    if (llama_memory_seq_rm(memory, sequence, position, -1)) {
        return true;
    }
    llama_memory_seq_rm(memory, sequence, -1, -1);
    instrumentation_.forget(sequence, 0);
    cells_.cut(sequence, 0);
    return false;
}

bool context::holds_beginning(int32_t sequence) const {
    return llama_memory_seq_pos_min(llama_get_memory(handle_.get()), sequence) == 0;
}

void context::copy_prefix(int32_t from, int32_t to, int32_t count) {
    llama_memory_seq_cp(llama_get_memory(handle_.get()), from, to, 0, count);
    instrumentation_.identities().copy(from, to, count);
    instrumentation_.conditions().copy(from, to, count);
    cells_.copy(from, to, count);
}

context_statistics context::statistics() const {
    const llama_perf_context_data performance = llama_perf_context(handle_.get());
    return {instrumentation_.graphs_built(),
            static_cast<uint64_t>(performance.n_reused),
            decodes_,
            tokens_,
            instrumentation_.bytes_copied(),
            cells_.held(),
            0};
}

}  // namespace llama_steer
