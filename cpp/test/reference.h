// Independent references, straight on llama.h: residuals copied under cb_eval, steering by llama_set_adapter_cvec.
#pragma once

#include "testbed.h"

#include <ggml-backend.h>
#include <ggml.h>
#include <llama.h>

#include <cstring>
#include <map>
#include <memory>
#include <string>
#include <vector>

namespace llama_steer::reference {

struct token {
    int32_t id;
    int32_t position;
    int32_t sequence;
    bool output;
};

/// A plain llama_context that copies every tensor named `<name>-<layer>` as it is computed.
class plain_context {
public:
    plain_context(int32_t n_sequences, int32_t n_ubatch, bool unified = true, const std::string & name = "l_out",
                  int32_t threads = 1)
        : prefix_(name + "-") {
        llama_context_params params = llama_context_default_params();
        params.n_ctx = 256U * static_cast<uint32_t>(n_sequences);
        params.n_batch = 512;
        params.n_ubatch = static_cast<uint32_t>(n_ubatch);
        params.n_seq_max = static_cast<uint32_t>(n_sequences);
        params.n_threads = params.n_threads_batch = threads;
        params.kv_unified = unified;
        if (!name.empty()) {
            params.cb_eval = copy;
            params.cb_eval_user_data = this;
        }
        context_.reset(llama_init_from_model(testbed::chat_model()->handle(), params));
    }

    llama_context * handle() { return context_.get(); }

    void decode(const std::vector<token> & tokens) {
        rows_.clear();
        llama_batch batch = llama_batch_init(static_cast<int32_t>(tokens.size()), 0, 1);
        batch.n_tokens = static_cast<int32_t>(tokens.size());
        for (size_t i = 0; i < tokens.size(); ++i) {
            batch.token[i] = tokens[i].id;
            batch.pos[i] = tokens[i].position;
            batch.n_seq_id[i] = 1;
            batch.seq_id[i][0] = tokens[i].sequence;
            batch.logits[i] = tokens[i].output ? 1 : 0;
        }
        if (llama_decode(context_.get(), batch) != 0) {
            throw std::runtime_error("reference decode failed");
        }
        llama_synchronize(context_.get());
        llama_batch_free(batch);
    }

    /// All rows of a layer of the last decode, micro-batch after micro-batch.
    const std::vector<float> & rows(int layer) { return rows_[layer]; }

    std::vector<float> logits(int32_t index) {
        const float * row = llama_get_logits_ith(context_.get(), index);
        return {row, row + testbed::chat_model()->info().vocabulary_size};
    }

private:
    static bool copy(ggml_tensor * tensor, bool ask, void * data) {
        auto * self = static_cast<plain_context *>(data);
        const char * name = ggml_get_name(tensor);
        const bool wanted = std::strncmp(name, self->prefix_.c_str(), self->prefix_.size()) == 0;
        if (!ask && wanted) {
            std::vector<float> & rows = self->rows_[std::stoi(name + self->prefix_.size())];
            const size_t before = rows.size();
            rows.resize(before + static_cast<size_t>(ggml_nelements(tensor)));
            ggml_backend_tensor_get(tensor, rows.data() + before, 0, ggml_nbytes(tensor));
        }
        return ask ? wanted : true;
    }

    struct deleter {
        void operator()(llama_context * handle) const { llama_free(handle); }
    };
    std::string prefix_;
    std::map<int, std::vector<float>> rows_;
    std::unique_ptr<llama_context, deleter> context_;
};

}  // namespace llama_steer::reference
