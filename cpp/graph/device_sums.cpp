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
    for (size_t begin = 0; begin < places.size();) {
        const device_place & first = places[begin];
        std::vector<int> layers;
        size_t end = begin;
        for (; end < places.size() && share_directions(places[end], first); ++end) {
            layers.push_back(places[end].layer);
        }
        const auto directions = store.at(site_, first.memory, first.width, capacity_.sets, layers);
        for (size_t next = begin; next < end;) {
            const size_t count = batch_size(places.data() + next, end - next);
            add_batch({directions, places.data() + next, count, static_cast<int64_t>(next - begin)}, graph, editor);
            next += count;
        }
        begin = end;
    }
}

size_t device_sums::batch_size(const device_place * places, size_t count) const {
    const int64_t bytes = places->n_rows * capacity_.terms * places->width * static_cast<int64_t>(sizeof(float));
    const auto most = static_cast<size_t>(std::max(int64_t{1}, largest_batch_bytes / bytes));
    size_t size = 1;
    while (size < std::min(count, most) && places[size].cut == places->cut) {
        ++size;
    }
    return size;
}

void device_sums::add_batch(const batch_places & where, const built_graph & graph, graph_editor & editor) {
    const device_place & first = *where.places;
    const auto n_terms = static_cast<size_t>(capacity_.terms);
    batch made{where.directions, first.cut, first.n_rows, static_cast<int64_t>(where.count), nullptr};
    made.input = ggml_new_tensor_1d(graph.context, GGML_TYPE_F32, made.n_rows * capacity_.terms * (made.n_layers + 1));
    ggml_set_input(made.input);
    ggml_format_name(made.input, "steer_rows_%d_%d", site_, first.layer);
    batches_.push_back(made);

    ggml_tensor * terms = terms_of(made, where.first_layer, graph);
    for (size_t i = 0; i < where.count; ++i) {
        const device_place & place = where.places[i];
        ggml_tensor * steered = editor.read_instead_of(place.tensor);
        for (size_t term = 0; term < n_terms; ++term) {
            const size_t row = term * static_cast<size_t>(first.n_rows);
            ggml_tensor * view = ggml_view_2d(graph.context, terms, first.width, first.n_rows, terms->nb[1],
                                              i * terms->nb[2] + row * terms->nb[1]);
            editor.insert_before(editor.first_of_layer(first.layer), view);
            steered = ggml_add(graph.context, steered, view);
            ggml_format_name(steered, "steered-%d", place.layer);
            editor.insert_after(place.tensor, steered);
        }
        editor.replace(place.tensor, steered);
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
