#include "graph/steer_nodes.h"

#include "base/error.h"
#include "steering/row_kernel.h"
#include "steering/site_id.h"

#include <algorithm>
#include <cstring>

#include <ggml.h>

namespace llama_steer {

namespace {

/// A copy of the site's rows where it has none of its own, and the operator.
constexpr int nodes_per_place = 2;

/// A place in a graph as upstream built it.
struct located_place {
    ggml_tensor * tensor;
    int layer;
    node_use use;
    int64_t n_rows;
    bool cut;
};

located_place locate(site_map & sites, int32_t site, int layer, const node_use & use, const micro_batch & batch) {
    ggml_tensor * tensor = sites.find(name_of_site(site), layer);
    const int64_t elements = tensor == nullptr || tensor->type != GGML_TYPE_F32 ? -1 : ggml_nelements(tensor);
    const int64_t n_rows = elements / use.width;
    if (elements != n_rows * use.width || (n_rows != batch.n_tokens && n_rows != batch.n_outputs)) {
        throw error(error_code::SITE_UNKNOWN, name_of_site(site) + " of layer " + std::to_string(layer) +
                                                  " has no rows of " + std::to_string(use.width) +
                                                  " floats, one for each token, in this pass: remove its steering, and "
                                                  "steer a site that sites() lists");
    }
    return {tensor, layer, use, n_rows, n_rows != batch.n_tokens};
}

/// Whether an operator may change the tensor where it lies.
bool has_own_rows(const ggml_tensor * tensor) {
    return tensor->view_src == nullptr && tensor->op != GGML_OP_NONE && ggml_is_contiguous(tensor);
}

}  // namespace

steer_nodes::steer_nodes(const steering_plan & plan, const built_graph & graph, graph_editor & editor,
                         direction_store & store)
    : device_capacity_(device_capacity::for_plan(plan)) {
    site_map sites(editor);
    std::vector<std::vector<located_place>> located;
    int n_places = 0;
    for (const auto & [site, layers] : plan.uses()) {
        located.emplace_back();
        for (const auto & [layer, use] : layers) {
            located.back().push_back(locate(sites, site, layer, use, graph.batch));
            ++n_places;
        }
    }
    editor.require_room(std::max(nodes_per_place, device_sums::nodes_per_place(device_capacity_)) * n_places);

    size_t index = 0;
    for (const auto & [site, layers] : plan.uses()) {
        programs_.push_back({site, {}, {}});
        std::vector<device_place> on_device;
        for (const located_place & each : located[index++]) {
            const bool on_host = graph.layer_on_host(graph.model, each.layer);
            if (!on_host && each.use.others == 0) {
                on_device.push_back({each.tensor, each.layer, each.use.width, each.n_rows, each.cut,
                                     graph.layer_memory(graph.model, each.layer)});
                continue;
            }
            const site_programs & programs = programs_.back();
            insert_operator(each.tensor, {each.cut ? &programs.cut : &programs.full, each.use.width, site, each.layer},
                            on_host, graph, editor);
        }
        if (!on_device.empty()) {
            device_parts_.push_back({&programs_.back(), device_sums(site, device_capacity_)});
            device_parts_.back().sums.add_to(on_device, graph, editor, store);
        }
    }
}

void steer_nodes::insert_operator(ggml_tensor * site, const place_operator & what, bool on_host,
                                  const built_graph & graph, graph_editor & editor) {
    operators_.push_back(what);
    ggml_tensor * rows = editor.read_instead_of(site);
    if (!ggml_is_contiguous(rows)) {
        rows = ggml_cont(graph.context, rows);
        editor.insert_after(site, rows);
    }
    const int n_tasks = ggml_nelements(site) > what.width ? GGML_N_TASKS_MAX : 1;
    const auto make = on_host && has_own_rows(rows) ? ggml_map_custom1_inplace : ggml_map_custom1;
    ggml_tensor * steered = make(graph.context, rows, compute, n_tasks, &operators_.back());
    ggml_format_name(steered, "steered-%d", what.layer);
    editor.replace(site, steered);
    editor.insert_after(site, steered);
}

bool steer_nodes::fits(const steering_plan & plan) const {
    return device_parts_.empty() || device_capacity::for_plan(plan) == device_capacity_;
}

int steer_nodes::set(const micro_batch & batch, const batch_layout & layout, const steering_plan & plan,
                     program_compiler & compiler) {
    compiler.begin(programs_);
    for (int32_t i = 0; i < batch.n_tokens; ++i) {
        const int32_t sequence = batch.sequence(i);
        compiler.add_row(programs_, plan.list(sequence), layout, {sequence, batch.positions[i], batch.is_output(i)});
    }
    int uploads = 0;
    for (device_part & each : device_parts_) {
        uploads += each.sums.set(each.programs->full, each.programs->cut, plan) ? 1 : 0;
    }
    return uploads;
}

void steer_nodes::compute(ggml_tensor * result, const ggml_tensor * rows, int ith, int nth, void * userdata) {
    const auto * op = static_cast<const place_operator *>(userdata);
    auto * data = static_cast<float *>(result->data);
    const int64_t count = ggml_nelements(result) / op->width;
    if (data != rows->data) {
        const auto * from = static_cast<const float *>(rows->data);
        for (int64_t row = ith; row < count; row += nth) {
            std::memcpy(data + row * op->width, from + row * op->width, static_cast<size_t>(op->width) * sizeof(float));
        }
    }
    run_programs({data, count, op->width, op->width, op->site, op->layer}, *op->programs, ith, nth);
}

}  // namespace llama_steer
