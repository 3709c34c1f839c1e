#pragma once

#include "bench/plain_side.h"

#include <ggml-backend.h>
#include <ggml.h>

#include <cstring>
#include <vector>

namespace llama_steer::bench {

/// The layer of a block output by its name; -1 for every other node, also for views named `l_out-<layer> (reshaped)`.
inline int block_output_layer(const char * name) {
    constexpr char prefix[] = "l_out-";
    if (std::memcmp(name, prefix, sizeof prefix - 1) != 0) {
        return -1;
    }
    int layer = 0;
    for (const char * digit = name + sizeof prefix - 1; *digit != '\0'; ++digit) {
        if (*digit < '0' || *digit > '9') {
            return -1;
        }
        layer = 10 * layer + (*digit - '0');
    }
    return layer;
}

/// The usual way: `cb_eval` asks for the block outputs, named l_out-<layer>, and copies each, when it is computed, to
/// memory that was made before. Nothing is allocated in a step; of a node that is not asked for, six bytes of the name
/// are compared.
class callback_side final : public plain_side {
public:
    /// `capacity`: rows per layer to make room for; no batch has more tokens.
    callback_side(std::shared_ptr<const model> source, const context_options & options, int64_t capacity)
        : plain_side(std::move(source), options, visit, this),
          stride_(static_cast<size_t>(capacity * this->source().info().hidden_size)),
          memory_(stride_ * static_cast<size_t>(this->source().info().n_layers)),
          counts_(static_cast<size_t>(this->source().info().n_layers)) {}

    uint64_t bytes_copied() const override { return bytes_copied_; }

    uint64_t bytes_captured() const override {
        int64_t rows = 0;
        for (const int64_t count : counts_) {
            rows += count;
        }
        return static_cast<uint64_t>(rows * source().info().hidden_size) * sizeof(float);
    }

    captured_rows rows(int32_t layer) const override {
        const auto index = static_cast<size_t>(layer);
        return {memory_.data() + index * stride_, counts_[index], false};
    }

private:
    static bool visit(ggml_tensor * tensor, bool ask, void * data) {
        auto * self = static_cast<callback_side *>(data);
        if (ask) {
            self->asked_ = block_output_layer(ggml_get_name(tensor));
            return self->asked_ >= 0;
        }
        self->copy(tensor, static_cast<size_t>(self->asked_));
        return true;
    }

    void copy(const ggml_tensor * tensor, size_t layer) {
        const size_t bytes = ggml_nbytes(tensor);
        ggml_backend_tensor_get(tensor, memory_.data() + layer * stride_, 0, bytes);
        counts_[layer] = ggml_nrows(tensor);
        bytes_copied_ += bytes;
    }

    size_t stride_;              ///< floats per layer
    std::vector<float> memory_;  ///< [layers][capacity][hidden size]
    std::vector<int64_t> counts_;
    int asked_ = -1;  ///< layer of the node that was asked for last
    uint64_t bytes_copied_ = 0;
};

}  // namespace llama_steer::bench
