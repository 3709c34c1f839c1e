#pragma once

#include "bench/describe.h"
#include "bench/side.h"
#include "bench/steering_lists.h"
#include "model/context.h"

#include <memory>
#include <stdexcept>
#include <utility>
#include <vector>

namespace llama_steer::bench {

/// Ours: a `context` that one side has, or that sides take turns in.
class steered_context {
public:
    steered_context(std::shared_ptr<const model> source, const context_options & options)
        : context_(std::move(source), options) {
        context_.graph().set_occasion(tap_occasion::generation);
    }

    /// Makes `user` the side that steps next, with its lists, in a context that holds as much as its batch follows on.
    void take(const void * user, const std::vector<std::shared_ptr<const steering_list>> & lists,
              const step_batch & batch) {
        const auto sequences = static_cast<int32_t>(lists.size());
        if (user_ != user) {
            for (int32_t sequence = 0; sequence < sequences; ++sequence) {
                context_.graph().set_steering(sequence, lists[static_cast<size_t>(sequence)]);
            }
            user_ = user;
        }
        const int32_t begin = batch.tokens.front().position;
        for (int32_t sequence = 0; position_ > begin && sequence < sequences; ++sequence) {
            context_.cut(sequence, begin);
        }
    }

    void decode(const step_batch & batch) {
        describe(batch, context_.graph().layout(), ids_);
        if (context_.decode(batch.tokens) != decode_status::ok) {
            throw std::runtime_error("a forward pass found no room");
        }
        position_ = batch.tokens.back().position + 1;
    }

    context & inner() { return context_; }

private:
    context context_;
    const void * user_ = nullptr;
    int32_t position_ = 0;  ///< tokens that every sequence holds, at most
    std::vector<int32_t> ids_;
};

/// Ours, with the lists of its sequences, driven on the caller's thread as an engine drives it on its own.
class steered_side : public side {
public:
    /// `lists`: by sequence; null pointers: not steered.
    steered_side(std::shared_ptr<steered_context> target, std::vector<std::shared_ptr<const steering_list>> lists)
        : target_(std::move(target)), lists_(std::move(lists)) {}

    void prepare(const step_batch & batch) override { target_->take(this, lists_, batch); }
    void decode(const step_batch & batch) override {
        const uint64_t before = target_->inner().statistics().graphs_reused;
        target_->decode(batch);
        graphs_reused_ += target_->inner().statistics().graphs_reused - before;
    }
    void cut(int32_t sequence, int32_t position) override { target_->inner().cut(sequence, position); }
    uint64_t graphs_reused() const override { return graphs_reused_; }

    const float * logits(int32_t index) const { return target_->inner().logits(index); }

protected:
    const std::vector<std::shared_ptr<const steering_list>> & lists() const { return lists_; }

private:
    std::shared_ptr<steered_context> target_;
    std::vector<std::shared_ptr<const steering_list>> lists_;
    uint64_t graphs_reused_ = 0;  ///< in own steps
};

/// The same with a new strength for every intervention of every sequence before every pass. Setting them is timed.
class restrengthened_side final : public steered_side {
public:
    using steered_side::steered_side;

    void decode(const step_batch & batch) override {
        const double strength = 0.5 + 0.001 * (++step_ % 100);
        for (const auto & list : lists()) {
            for (const std::shared_ptr<intervention> & each : *list) {
                each->set_numbers({schedule::constant(strength), 0.0F, 0.0F});
            }
        }
        steered_side::decode(batch);
    }

private:
    int step_ = 0;
};

}  // namespace llama_steer::bench
