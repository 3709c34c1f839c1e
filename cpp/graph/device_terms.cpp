#include "graph/device_terms.h"

#include <ggml-backend.h>
#include <ggml.h>

namespace llama_steer {

int64_t device_terms::capacity_for(const steering_plan & plan) {
    int64_t capacity = 1;
    while (capacity < static_cast<int64_t>(plan.sets().size())) {
        capacity *= 2;
    }
    return capacity;
}

ggml_tensor * device_terms::add_to(ggml_tensor * site, int layer, bool cut, const built_graph & graph) {
    ggml_tensor * directions = ggml_new_tensor_2d(graph.context, GGML_TYPE_F32, capacity_, site->ne[0]);
    ggml_set_input(directions);
    ggml_format_name(directions, "steer_directions_%d", layer);
    directions_[layer] = directions;
    ggml_tensor * terms = ggml_mul_mat(graph.context, directions, coefficients_input(cut, site->ne[1], graph));
    return ggml_add(graph.context, site, terms);
}

ggml_tensor * device_terms::coefficients_input(bool cut, int64_t rows, const built_graph & graph) {
    ggml_tensor *& input = coefficients_[cut ? 1 : 0];
    if (input == nullptr) {
        input = ggml_new_tensor_2d(graph.context, GGML_TYPE_F32, capacity_, rows);
        ggml_set_input(input);
        ggml_set_name(input, cut ? "steer_output_coefficients" : "steer_coefficients");
    }
    return input;
}

void device_terms::set(const coefficients & full, const coefficients & cut, const steering_plan & plan) {
    if (directions_.empty()) {
        return;
    }
    slots_.clear();
    for (const direction_set * set : plan.sets()) {
        slots_.emplace(set, static_cast<int64_t>(slots_.size()));
    }
    for (const auto & [layer, input] : directions_) {
        const int64_t width = input->ne[1];
        scratch_.assign(static_cast<size_t>(capacity_ * width), 0.0F);
        for (const auto & [set, slot] : slots_) {
            const float * direction = set->layer(layer);
            for (int64_t i = 0; direction != nullptr && i < width; ++i) {
                scratch_[static_cast<size_t>(i * capacity_ + slot)] = direction[i];
            }
        }
        ggml_backend_tensor_set(input, scratch_.data(), 0, scratch_.size() * sizeof(float));
    }
    upload(coefficients_[0], full);
    upload(coefficients_[1], cut);
}

void device_terms::upload(ggml_tensor * input, const coefficients & terms) {
    if (input == nullptr) {
        return;
    }
    scratch_.assign(static_cast<size_t>(capacity_ * input->ne[1]), 0.0F);
    for (int64_t row = 0; row < terms.n_rows(); ++row) {
        for (const active_term * term = terms.begin(row); term != terms.end(row); ++term) {
            scratch_[static_cast<size_t>(row * capacity_ + slots_.at(term->directions))] += term->coefficient;
        }
    }
    ggml_backend_tensor_set(input, scratch_.data(), 0, scratch_.size() * sizeof(float));
}

}  // namespace llama_steer
