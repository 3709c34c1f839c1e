#include "graph/device_sums.h"

#include <algorithm>
#include <cstring>

#include <ggml-backend.h>
#include <ggml.h>

namespace llama_steer {

namespace {

/// Terms that are made at once may take this much memory.
constexpr int64_t largest_batch_bytes = int64_t{64} << 20;

int64_t power_of_two(int64_t least) {
    int64_t value = 1;
    while (value < least) {
        value *= 2;
    }
    return value;
}

bool share_directions(const device_place & a, const device_place & b) {
    return a.memory == b.memory && a.width == b.width;
}

}  // namespace

device_capacity device_capacity::for_plan(const steering_plan & plan) {
    return {power_of_two(static_cast<int64_t>(plan.sums().size())), power_of_two(plan.most_sums())};
}

void device_sums::add_to(const std::vector<device_place> & places, const built_graph & graph, graph_editor & editor,
                         direction_store & store) {
    size_t group = 0;  // where the places begin that share directions
    for (size_t begin = 0; begin < places.size();) {
        const device_place & first = places[begin];
        if (!share_directions(first, places[group])) {
            group = begin;
        }
        std::vector<int> layers;
        for (size_t i = group; i < places.size() && share_directions(places[i], first); ++i) {
            layers.push_back(places[i].layer);
        }
        const int64_t layer_bytes = first.n_rows * capacity_.terms * first.width * static_cast<int64_t>(sizeof(float));
        size_t end = begin + 1;
        while (end < group + layers.size() && places[end].cut == first.cut &&
               static_cast<int64_t>(end + 1 - begin) * layer_bytes <= largest_batch_bytes) {
            ++end;
        }

        batch made{store.at(site_, first.memory, first.width, capacity_.sets, layers), first.cut, first.n_rows,
                   static_cast<int64_t>(end - begin), nullptr};
        made.input =
            ggml_new_tensor_1d(graph.context, GGML_TYPE_F32, made.n_rows * capacity_.terms * (made.n_layers + 1));
        ggml_set_input(made.input);
        ggml_format_name(made.input, "steer_rows_%d_%d", site_, first.layer);
        batches_.push_back(made);
        ggml_tensor * terms = terms_of(made, static_cast<int64_t>(begin - group), graph);

        ggml_tensor * const before = editor.first_of_layer(first.layer);
        std::vector<ggml_tensor *> views;
        for (size_t i = 0; i < static_cast<size_t>((end - begin) * capacity_.terms); ++i) {
            const size_t layer = i / static_cast<size_t>(capacity_.terms);
            const size_t term = i % static_cast<size_t>(capacity_.terms);
            views.push_back(
                ggml_view_2d(graph.context, terms, first.width, first.n_rows, terms->nb[1],
                             layer * terms->nb[2] + term * static_cast<size_t>(first.n_rows) * terms->nb[1]));
            editor.insert_before(before, views.back());
        }
        for (size_t i = begin; i < end; ++i) {
            ggml_tensor * steered = editor.read_instead_of(places[i].tensor);
            for (int64_t term = 0; term < capacity_.terms; ++term) {
                const size_t view = (i - begin) * static_cast<size_t>(capacity_.terms) + static_cast<size_t>(term);
                steered = ggml_add(graph.context, steered, views[view]);
                ggml_format_name(steered, "steered-%d", places[i].layer);
                editor.insert_after(places[i].tensor, steered);
            }
            editor.replace(places[i].tensor, steered);
        }
        begin = end;
    }
}

ggml_tensor * device_sums::terms_of(const batch & made, int64_t first_layer, const built_graph & graph) {
    ggml_tensor * all = made.directions->tensor();
    ggml_tensor * directions = ggml_view_3d(graph.context, all, all->ne[0], all->ne[1], made.n_layers, all->nb[1],
                                            all->nb[2], static_cast<size_t>(first_layer) * all->nb[2]);
    ggml_backend_view_init(directions);

    // One copy to the device instead of two, since each waits for the device: strengths and slots come in one input,
    // and are told apart there. A slot is an int32 in the place of a float.
    ggml_tensor * rows = ggml_cont(graph.context, made.input);
    const int64_t n = made.n_rows * capacity_.terms;
    ggml_tensor * strengths = ggml_view_2d(graph.context, rows, 1, n, rows->nb[0], 0);
    ggml_tensor * slots = ggml_view_2d(graph.context, rows, n, made.n_layers, static_cast<size_t>(n) * rows->nb[0],
                                       static_cast<size_t>(n) * rows->nb[0]);
    slots->type = GGML_TYPE_I32;
    return ggml_mul(graph.context, ggml_get_rows(graph.context, directions, slots), strengths);
}

bool device_sums::set(const row_programs & full, const row_programs & cut, const steering_plan & plan) {
    bool uploaded = false;
    for (const batch & each : batches_) {
        uploaded = each.directions->update(plan) || uploaded;
        upload(each, each.cut ? cut : full);
    }
    return uploaded;
}

void device_sums::upload(const batch & to, const row_programs & programs) {
    const int64_t n = to.n_rows * capacity_.terms;
    scratch_.assign(static_cast<size_t>(n * (to.n_layers + 1)), 0.0F);
    float * strengths = scratch_.data();
    float * slots = scratch_.data() + n;
    for (int64_t row = 0; row < std::min(to.n_rows, programs.n_rows()); ++row) {
        int64_t term = 0;
        for (const active_intervention & each : programs.interventions(row)) {
            if (each.source->is_plain_sum()) {
                const int32_t slot = to.directions->slot_of(each.source->directions());
                strengths[term * to.n_rows + row] = each.strength;
                std::memcpy(slots + term * to.n_rows + row, &slot, sizeof slot);
                ++term;
            }
        }
    }
    for (int64_t layer = 1; layer < to.n_layers; ++layer) {
        std::memcpy(slots + layer * n, slots, static_cast<size_t>(n) * sizeof(float));
    }
    ggml_backend_tensor_set(to.input, scratch_.data(), 0, scratch_.size() * sizeof(float));
}

}  // namespace llama_steer
