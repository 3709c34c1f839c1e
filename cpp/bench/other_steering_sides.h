#pragma once

#include "bench/callback_side.h"
#include "bench/plain_side.h"
#include "bench/steering_lists.h"

#include <ggml.h>

#include <memory>
#include <stdexcept>
#include <utility>
#include <vector>

namespace llama_steer::bench {

/// llama.cpp's control vectors: one vector per layer for the whole context, none at block 0. Changing its strength
/// means to set it again, which makes the context reserve its memory for graphs anew.
class cvec_side final : public plain_side {
public:
    /// `vectors`: of all layers from 1 on. `renewed`: with a new strength before every pass, which is timed.
    cvec_side(std::shared_ptr<const model> source, const context_options & options, random_vectors vectors,
              float strength, bool renewed)
        : plain_side(std::move(source), options),
          vectors_(std::move(vectors)),
          scaled_(vectors_.data.size()),
          renewed_(renewed) {
        set(strength);
    }

    void decode(const step_batch & batch) override {
        if (renewed_) {
            set(0.5F + 0.001F * static_cast<float>(++step_ % 100));
        }
        plain_side::decode(batch);
    }

private:
    void set(float strength) {
        for (size_t i = 0; i < scaled_.size(); ++i) {
            scaled_[i] = strength * vectors_.data[i];
        }
        const int32_t end = 1 + static_cast<int32_t>(vectors_.layers.size());
        if (llama_set_adapter_cvec(handle(), scaled_.data(), scaled_.size(), static_cast<int32_t>(vectors_.width), 1,
                                   end) != 0) {
            throw std::runtime_error("llama_set_adapter_cvec failed");
        }
    }

    random_vectors vectors_;
    std::vector<float> scaled_;
    bool renewed_;
    int step_ = 0;
};

/// The usual way without control vectors: `cb_eval` asks for the block outputs and changes them where they lie. On the
/// host only.
class editing_side final : public plain_side {
public:
    editing_side(std::shared_ptr<const model> source, const context_options & options, const random_vectors & vectors,
                 float strength)
        : plain_side(std::move(source), options, visit, this), terms_(this->source().info().n_layers) {
        const auto width = static_cast<size_t>(vectors.width);
        for (size_t slot = 0; slot < vectors.layers.size(); ++slot) {
            std::vector<float> & term = terms_[static_cast<size_t>(vectors.layers[slot])];
            for (size_t i = 0; i < width; ++i) {
                term.push_back(strength * vectors.data[slot * width + i]);
            }
        }
    }

private:
    static bool visit(ggml_tensor * tensor, bool ask, void * data) {
        auto * self = static_cast<editing_side *>(data);
        if (ask) {
            const int layer = block_output_layer(ggml_get_name(tensor));
            self->asked_ = layer >= 0 && !self->terms_[static_cast<size_t>(layer)].empty() ? layer : -1;
            return self->asked_ >= 0;
        }
        const std::vector<float> & term = self->terms_[static_cast<size_t>(self->asked_)];
        for (int64_t row = 0; row < ggml_nrows(tensor); ++row) {
            auto * to =
                reinterpret_cast<float *>(static_cast<char *>(tensor->data) + static_cast<size_t>(row) * tensor->nb[1]);
            for (size_t i = 0; i < term.size(); ++i) {
                to[i] += term[i];
            }
        }
        return true;
    }

    std::vector<std::vector<float>> terms_;  ///< by layer; empty: nothing is added
    int asked_ = -1;                         ///< layer of the node that was asked for last
};

}  // namespace llama_steer::bench
