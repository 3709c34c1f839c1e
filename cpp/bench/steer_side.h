#pragma once

#include "bench/describe.h"
#include "bench/side.h"
#include "capture/tap.h"
#include "model/context.h"

#include <cstring>
#include <memory>
#include <new>
#include <numeric>
#include <optional>
#include <stdexcept>
#include <utility>
#include <vector>

namespace llama_steer::bench {

/// What our side captures of the residual stream.
struct capture_plan {
    std::vector<int> layers;
    token_scope rows = token_scope::all;
    element_type type = element_type::f32;
};

inline std::vector<int> all_layers(const model & source) {
    std::vector<int> layers(static_cast<size_t>(source.info().n_layers));
    std::iota(layers.begin(), layers.end(), 0);
    return layers;
}

/// Ours: a `context` with a tap, driven on the caller's thread as an engine drives it on its own. The hop to that
/// thread costs the same whatever is captured, and would blur steps of a millisecond.
class steer_side final : public side {
public:
    /// Without a plan it captures nothing. `capacity`: rows per layer to make room for; no batch has more tokens.
    steer_side(std::shared_ptr<const model> source, const context_options & options,
               const std::optional<capture_plan> & plan, int64_t capacity)
        : context_(std::move(source), options) {
        context_.graph().set_occasion(tap_occasion::evaluation);
        if (plan) {
            attach(*plan, capacity);
        }
    }

    void decode(const step_batch & batch) override {
        if (tap_) {
            tap_->clear();
        }
        describe(batch, context_.graph().layout(), ids_);
        if (context_.decode(batch.tokens) != decode_status::ok) {
            throw std::runtime_error("a forward pass found no room");
        }
    }

    void cut(int32_t sequence, int32_t position) override { context_.cut(sequence, position); }

    uint64_t graphs_reused() const override { return context_.statistics().graphs_reused; }
    uint64_t bytes_copied() const override { return context_.statistics().capture_bytes_copied; }

    uint64_t bytes_captured() const override {
        uint64_t rows = 0;
        for (size_t slot = 0; tap_ && slot < tap_->layers().size(); ++slot) {
            rows += tap_->labels(slot).size();
        }
        const int64_t row_bytes = tap_ ? tap_->destination().width * element_bytes(tap_->destination().type) : 0;
        return rows * static_cast<uint64_t>(row_bytes);
    }

    captured_rows rows(int32_t layer) const override {
        for (size_t slot = 0; tap_ && slot < tap_->layers().size(); ++slot) {
            if (tap_->layers()[slot] == layer) {
                return {tap_->row(slot, 0), static_cast<int64_t>(tap_->labels(slot).size()),
                        tap_->destination().type == element_type::f16};
            }
        }
        return {};
    }

private:
    /// Begins where JavaScript's buffers begin, at a multiple of a cache line.
    struct aligned_delete {
        void operator()(char * memory) const { ::operator delete(memory, alignment); }
    };
    static constexpr std::align_val_t alignment{64};

    void attach(const capture_plan & plan, int64_t capacity) {
        const int64_t width = context_.source().info().hidden_size;
        const auto bytes =
            static_cast<size_t>(static_cast<int64_t>(plan.layers.size()) * capacity * width * element_bytes(plan.type));
        memory_.reset(static_cast<char *>(::operator new(bytes, alignment)));
        // Touched before anything is timed, as the memory of the other sides is.
        std::memset(memory_.get(), 0, bytes);
        tap_request request;
        request.site = "residual";
        request.layers = plan.layers;
        request.rows = plan.rows;
        request.destination = {memory_.get(), capacity, width, plan.type};
        tap_ = std::make_shared<tap>(std::move(request));
        context_.graph().attach(tap_);
    }

    context context_;
    std::unique_ptr<char, aligned_delete> memory_;
    std::shared_ptr<tap> tap_;
    std::vector<int32_t> ids_;
};

}  // namespace llama_steer::bench
