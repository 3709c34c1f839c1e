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
#include <utility>
#include <vector>

namespace llama_steer::reference {

struct token {
    int32_t id;
    int32_t position;
    int32_t sequence;
    bool output;
};

/// A plain llama_context that copies every tensor named `<name>-<layer>` as it is computed, and notes which tokens its
/// rows are of: the ids that the micro-batch looked up in the embedding, in that order, and where a layer has fewer
/// rows those that the graph picked as output rows.
class plain_context {
public:
    plain_context(int32_t n_sequences, int32_t n_ubatch, bool unified = true, const std::string & name = "l_out",
                  int32_t threads = 1, std::shared_ptr<const model> source = testbed::chat_model(), int64_t width = 0)
        : source_(std::move(source)), prefix_(name + "-"), width_(width) {
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
        context_.reset(llama_init_from_model(source_->handle(), params));
    }

    llama_context * handle() { return context_.get(); }

    void decode(const std::vector<token> & tokens) {
        rows_.clear();
        row_tokens_.clear();
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

    /// The token id of each of those rows.
    const std::vector<int32_t> & row_tokens(int layer) { return row_tokens_[layer]; }

    std::vector<float> logits(int32_t index) {
        const float * row = llama_get_logits_ith(context_.get(), index);
        return {row, row + source_->info().vocabulary_size};
    }

private:
    /// True for a node that looks rows up by the graph's input of that name.
    static bool looks_up(const ggml_tensor * tensor, const char * input) {
        return tensor->op == GGML_OP_GET_ROWS && std::strcmp(ggml_get_name(tensor->src[1]), input) == 0;
    }

    static std::vector<int32_t> read_indices(const ggml_tensor * tensor) {
        std::vector<int32_t> indices(static_cast<size_t>(ggml_nelements(tensor)));
        ggml_backend_tensor_get(tensor, indices.data(), 0, ggml_nbytes(tensor));
        return indices;
    }

    /// -1 for any other tensor, also for a view of one that is named `<name>-<layer> (reshaped)`.
    int layer_of(const char * name) const {
        const char * digits = name + prefix_.size();
        if (std::strncmp(name, prefix_.c_str(), prefix_.size()) != 0 || *digits == '\0' ||
            digits[std::strspn(digits, "0123456789")] != '\0') {
            return -1;
        }
        return std::stoi(digits);
    }

    static bool copy(ggml_tensor * tensor, bool ask, void * data) {
        auto * self = static_cast<plain_context *>(data);
        const char * name = ggml_get_name(tensor);
        const int layer = self->layer_of(name);
        const bool tokens = looks_up(tensor, "inp_tokens");
        const bool outputs = looks_up(tensor, "out_ids");
        if (ask) {
            return layer >= 0 || tokens || outputs;
        }
        if (tokens) {
            self->tokens_ = read_indices(tensor->src[1]);
            self->rows_before_.clear();
        }
        if (outputs) {
            self->outputs_ = read_indices(tensor->src[1]);
        }
        if (layer >= 0) {
            self->copy_rows(tensor, layer);
        }
        return true;
    }

    void copy_rows(const ggml_tensor * tensor, int layer) {
        std::vector<float> & rows = rows_[layer];
        // Of nodes with the same name in one layer the last counts.
        const auto known = rows_before_.emplace(layer, std::pair(rows.size(), row_tokens_[layer].size())).first;
        const size_t before = known->second.first;
        row_tokens_[layer].resize(known->second.second);
        rows.resize(before);
        append_elements(tensor, rows);
        const auto n_tokens = static_cast<int64_t>(tokens_.size());
        const int64_t n_rows = ggml_nelements(tensor) / (width_ > 0 ? width_ : tensor->ne[0]);
        for (int64_t row = 0; row < n_rows; ++row) {
            const bool cut = n_rows == static_cast<int64_t>(outputs_.size()) && n_rows != n_tokens;
            const int64_t index = cut ? outputs_[static_cast<size_t>(row)] : row;
            row_tokens_[layer].push_back(index < n_tokens ? tokens_[static_cast<size_t>(index)] : -1);
        }
    }

    /// One element after the other, in whatever order they lie, also on a device.
    static void append_elements(const ggml_tensor * tensor, std::vector<float> & rows) {
        const auto count = static_cast<size_t>(ggml_nelements(tensor));
        const size_t before = rows.size();
        rows.resize(before + count);
        if (ggml_is_contiguous(tensor)) {
            ggml_backend_tensor_get(tensor, rows.data() + before, 0, count * sizeof(float));
            return;
        }
        const int64_t * ne = tensor->ne;
        for (size_t k = 0; k < count; ++k) {
            const auto i = static_cast<int64_t>(k);
            const int64_t at[] = {i % ne[0], i / ne[0] % ne[1], i / ne[0] / ne[1] % ne[2], i / ne[0] / ne[1] / ne[2]};
            size_t offset = 0;
            for (int dimension = 0; dimension < GGML_MAX_DIMS; ++dimension) {
                offset += static_cast<size_t>(at[dimension]) * tensor->nb[dimension];
            }
            // By its address: the range that ggml checks is that of a contiguous tensor.
            ggml_tensor element = *tensor;
            element.data = static_cast<char *>(tensor->data) + offset;
            element.ne[0] = element.ne[1] = element.ne[2] = element.ne[3] = 1;
            element.nb[1] = element.nb[2] = element.nb[3] = sizeof(float);
            ggml_backend_tensor_get(&element, rows.data() + before + k, 0, sizeof(float));
        }
    }

    struct deleter {
        void operator()(llama_context * handle) const { llama_free(handle); }
    };
    std::shared_ptr<const model> source_;
    std::string prefix_;
    int64_t width_;                 ///< floats in a row; 0: the first dimension
    std::vector<int32_t> tokens_;   ///< of the micro-batch in flight, in its order
    std::vector<int32_t> outputs_;  ///< which of them are output rows
    std::map<int, std::vector<float>> rows_;
    std::map<int, std::vector<int32_t>> row_tokens_;
    std::map<int, std::pair<size_t, size_t>> rows_before_;  ///< floats and rows before the micro-batch in flight
    std::unique_ptr<llama_context, deleter> context_;
};

}  // namespace llama_steer::reference
