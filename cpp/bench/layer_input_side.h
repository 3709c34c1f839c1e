#pragma once

#include "bench/plain_side.h"
#include "model/assertions.h"

#include <llama-ext.h>

namespace llama_steer::bench {

/// llama.cpp's own extraction of layer inputs, which it copies to the context's output memory after each micro-batch.
/// The input of layer i + 1 is the residual after layer i: the embeddings come on top, and the last layer's residual is
/// not offered.
class layer_input_side final : public plain_side {
public:
    layer_input_side(std::shared_ptr<const model> source, const context_options & options)
        : plain_side(std::move(source), options) {
        for (int32_t layer = 0; layer < this->source().info().n_layers; ++layer) {
            llama_set_embeddings_layer_inp(handle(), static_cast<uint32_t>(layer), true);
        }
    }

    /// Whether the architecture's graph says what its layers read: upstream asserts that it does.
    static bool is_offered(const std::shared_ptr<const model> & source) {
        context_options options;
        options.context_size = options.batch_size = 32;
        options.threads = 1;
        const assertions_throw guard;
        try {
            layer_input_side probe(source, options);
            probe.decode(make_batch({"", 1, 1, 0, 1}, 0, 1, true, source->info().vocabulary_size));
            return true;
        } catch (const std::exception &) {
            return false;
        }
    }

    void decode(const step_batch & batch) override {
        plain_side::decode(batch);
        count_ = static_cast<int64_t>(batch.tokens.size());
        bytes_copied_ += bytes_captured();
    }

    uint64_t bytes_copied() const override { return bytes_copied_; }

    uint64_t bytes_captured() const override {
        const model_info & info = source().info();
        return static_cast<uint64_t>(info.n_layers * count_ * info.hidden_size) * sizeof(float);
    }

    captured_rows rows(int32_t layer) const override {
        if (layer + 1 >= source().info().n_layers) {
            return {};
        }
        return {llama_get_embeddings_layer_inp(handle(), static_cast<uint32_t>(layer + 1)), count_, false};
    }

private:
    int64_t count_ = 0;  ///< rows of a layer
    uint64_t bytes_copied_ = 0;
};

}  // namespace llama_steer::bench
