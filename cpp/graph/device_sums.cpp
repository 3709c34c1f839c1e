#include "graph/device_sums.h"

#include <ggml-backend.h>
#include <ggml.h>

namespace llama_steer {

namespace {

/// Terms of all layers at once may take this much memory.
constexpr int64_t largest_batch_bytes = int64_t{64} << 20;

}  // namespace

int64_t device_sums::capacity_for(const steering_plan & plan) {
    int64_t capacity = 1;
    while (capacity < static_cast<int64_t>(plan.sums().size())) {
        capacity *= 2;
    }
    return capacity;
}

void device_sums::add_to(const std::vector<device_place> & places, const built_graph & graph, graph_editor & editor) {
    // Places with the same rows, one after another, share a product.
    for (size_t begin = 0; begin < places.size();) {
        const int64_t width = places[begin].width;
        const int64_t layer_bytes = places[begin].n_rows * width * static_cast<int64_t>(sizeof(float));
        size_t end = begin + 1;
        while (end < places.size() && places[end].cut == places[begin].cut && places[end].width == width &&
               static_cast<int64_t>(end + 1 - begin) * layer_bytes <= largest_batch_bytes) {
            ++end;
        }
        ggml_tensor * terms = terms_of(places, begin, end, graph);
        const bool early = static_cast<int64_t>(end - begin) * layer_bytes <= largest_batch_bytes;
        for (size_t i = begin; i < end; ++i) {
            ggml_tensor * term =
                ggml_view_2d(graph.context, terms, width, places[i].n_rows, terms->nb[1], (i - begin) * terms->nb[2]);
            if (early) {
                editor.prepend(term);
            }
            ggml_tensor * steered = ggml_add(graph.context, editor.read_instead_of(places[i].tensor), term);
            ggml_format_name(steered, "steered-%d", places[i].layer);
            editor.replace(places[i].tensor, steered);
            editor.insert_after(places[i].tensor, steered);
        }
        begin = end;
    }
}

ggml_tensor * device_sums::terms_of(const std::vector<device_place> & places, size_t begin, size_t end,
                                    const built_graph & graph) {
    const int64_t width = places[begin].width;
    product made;
    for (size_t i = begin; i < end; ++i) {
        made.layers.push_back(places[i].layer);
    }
    const auto n_layers = static_cast<int64_t>(end - begin);
    made.directions = ggml_new_tensor_3d(graph.context, GGML_TYPE_F32, capacity_, width, n_layers);
    // An input is written before the graph runs; an output is nobody else's memory afterwards: it stays for the next.
    ggml_set_input(made.directions);
    ggml_set_output(made.directions);
    ggml_format_name(made.directions, "steer_directions_%d_%d", site_, places[begin].layer);
    products_.push_back(made);

    ggml_tensor * coefficients = coefficients_input(places[begin].cut, places[begin].n_rows, graph);
    if (n_layers > 1) {
        coefficients = ggml_repeat_4d(graph.context, coefficients, capacity_, places[begin].n_rows, n_layers, 1);
    }
    return ggml_mul_mat(graph.context, made.directions, coefficients);
}

ggml_tensor * device_sums::coefficients_input(bool cut, int64_t rows, const built_graph & graph) {
    ggml_tensor *& input = coefficients_[cut ? 1 : 0];
    if (input == nullptr) {
        input = ggml_new_tensor_2d(graph.context, GGML_TYPE_F32, capacity_, rows);
        ggml_set_input(input);
        ggml_format_name(input, "steer_coefficients_%d_%d", site_, cut ? 1 : 0);
    }
    return input;
}

bool device_sums::set(const row_programs & full, const row_programs & cut, const steering_plan & plan) {
    const bool uploaded = upload_directions(plan);
    upload_coefficients(coefficients_[0], full);
    upload_coefficients(coefficients_[1], cut);
    return uploaded;
}

bool device_sums::upload_directions(const steering_plan & plan) {
    std::vector<uint64_t> wanted;
    slots_.clear();
    for (const auto & [set, users] : plan.sums()) {
        slots_.emplace(set, static_cast<int64_t>(slots_.size()));
        wanted.push_back(set->hash());
    }
    if (wanted == uploaded_) {
        return false;
    }
    for (const product & each : products_) {
        const int64_t width = each.directions->ne[1];
        scratch_.assign(static_cast<size_t>(ggml_nelements(each.directions)), 0.0F);
        for (size_t k = 0; k < each.layers.size(); ++k) {
            float * to = scratch_.data() + static_cast<int64_t>(k) * width * capacity_;
            for (const auto & [set, slot] : slots_) {
                const layer_directions * along = set->width() == width ? set->layer(each.layers[k]) : nullptr;
                for (int64_t i = 0; along != nullptr && i < width; ++i) {
                    to[i * capacity_ + slot] = along->write[i];
                }
            }
        }
        ggml_backend_tensor_set(each.directions, scratch_.data(), 0, scratch_.size() * sizeof(float));
    }
    uploaded_ = std::move(wanted);
    return true;
}

void device_sums::upload_coefficients(ggml_tensor * input, const row_programs & programs) {
    if (input == nullptr) {
        return;
    }
    scratch_.assign(static_cast<size_t>(capacity_ * input->ne[1]), 0.0F);
    for (int64_t row = 0; row < programs.n_rows(); ++row) {
        for (const active_intervention & each : programs.interventions(row)) {
            const auto slot = slots_.find(&each.source->directions());
            if (slot != slots_.end()) {
                scratch_[static_cast<size_t>(row * capacity_ + slot->second)] += each.strength;
            }
        }
    }
    ggml_backend_tensor_set(input, scratch_.data(), 0, scratch_.size() * sizeof(float));
}

}  // namespace llama_steer
