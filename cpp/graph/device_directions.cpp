#include "graph/device_directions.h"

#include "base/error.h"

#include <algorithm>
#include <set>
#include <string>

#include <ggml-alloc.h>
#include <ggml-backend.h>
#include <ggml.h>

namespace llama_steer {

device_directions::device_directions(ggml_backend_buffer_type * type, int64_t width, int64_t capacity,
                                     std::vector<int> layers)
    : width_(width),
      capacity_(capacity),
      layers_(std::move(layers)),
      context_(ggml_init({ggml_tensor_overhead(), nullptr, true}), ggml_free),
      buffer_(nullptr, ggml_backend_buffer_free),
      tensor_(nullptr) {
    if (context_ != nullptr) {
        tensor_ =
            ggml_new_tensor_3d(context_.get(), GGML_TYPE_F32, width, capacity, static_cast<int64_t>(layers_.size()));
        ggml_set_name(tensor_, "steer_directions");
        buffer_.reset(ggml_backend_alloc_ctx_tensors_from_buft(context_.get(), type));
    }
    if (buffer_ == nullptr) {
        throw error(error_code::OUT_OF_MEMORY,
                    "the device has no memory for the directions of " + std::to_string(capacity) +
                        " vectors at once: steer with fewer, or keep fewer layers on the device");
    }
    // The scheduler lets operators run where their weights lie, and never moves those.
    ggml_backend_buffer_set_usage(buffer_.get(), GGML_BACKEND_BUFFER_USAGE_WEIGHTS);
    ggml_backend_buffer_clear(buffer_.get(), 0);
}

device_directions::~device_directions() = default;

bool device_directions::update(const steering_plan & plan) {
    const auto is_known = [&](const auto & sum) { return slots_.count(sum.first->hash()) > 0; };
    if (std::all_of(plan.sums().begin(), plan.sums().end(), is_known)) {
        return false;
    }
    std::set<uint64_t> wanted;
    for (const auto & [set, users] : plan.sums()) {
        wanted.insert(set->hash());
    }
    std::vector<bool> taken(static_cast<size_t>(capacity_));
    for (auto each = slots_.begin(); each != slots_.end();) {
        const bool stays = wanted.count(each->first) > 0;
        taken[static_cast<size_t>(each->second)] = stays;
        each = stays ? std::next(each) : slots_.erase(each);
    }
    for (const auto & [set, users] : plan.sums()) {
        if (slots_.count(set->hash()) == 0) {
            const auto free = std::find(taken.begin(), taken.end(), false);
            const auto slot = static_cast<int32_t>(free - taken.begin());
            *free = true;
            upload(*set, slot);
            slots_.emplace(set->hash(), slot);
        }
    }
    return true;
}

void device_directions::upload(const direction_set & set, int32_t slot) {
    const std::vector<float> zeros(static_cast<size_t>(width_));
    for (size_t i = 0; i < layers_.size(); ++i) {
        const layer_directions * along = set.width() == width_ ? set.layer(layers_[i]) : nullptr;
        const float * from = along != nullptr && along->write != nullptr ? along->write : zeros.data();
        ggml_backend_tensor_set(tensor_, from, i * tensor_->nb[2] + static_cast<size_t>(slot) * tensor_->nb[1],
                                zeros.size() * sizeof(float));
    }
}

std::shared_ptr<device_directions> direction_store::at(int32_t site, ggml_backend_buffer_type * type, int64_t width,
                                                       int64_t capacity, const std::vector<int> & layers) {
    std::shared_ptr<device_directions> & found = made_[{site, type, width}];
    if (found == nullptr || found->capacity() != capacity || found->layers() != layers) {
        found.reset();  // its memory may be needed for the new one
        found = std::make_shared<device_directions>(type, width, capacity, layers);
    }
    return found;
}

void direction_store::release_unused() {
    for (auto each = made_.begin(); each != made_.end();) {
        each = each->second == nullptr || each->second.use_count() == 1 ? made_.erase(each) : std::next(each);
    }
}

}  // namespace llama_steer
