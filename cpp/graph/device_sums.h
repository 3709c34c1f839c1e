#pragma once

#include "graph/graph_editor.h"
#include "graph/seam.h"
#include "steering/row_programs.h"
#include "steering/steering_plan.h"

#include <map>
#include <vector>

struct ggml_tensor;

namespace llama_steer {

/// A place on a device where plain sums are added, and nothing else is done.
struct device_place {
    ggml_tensor * tensor;
    int layer;
    int64_t width;  ///< floats in a row
    int64_t n_rows;
    bool cut;  ///< its rows are the output rows
};

/// Plain sums at the layers of one site that lie on a device, in operators every backend has. The directions D [sets,
/// width, layers] and the rows' coefficients C [sets, rows], repeated for every layer, have one batched product: the
/// terms of all rows and layers, contiguous per layer. It is computed before the first layer, so that what is left in
/// the layers is one ADD right behind the ADD that makes the residual, which CUDA and Metal fuse with it. Where the
/// terms of all layers would take much memory, each layer has a product of its own. The directions stay on the device
/// until others are used.
class device_sums {
public:
    /// Room for direction sets that a graph is built with, so that their number seldom rebuilds it: a power of two.
    static int64_t capacity_for(const steering_plan & plan);

    device_sums(int32_t site, int64_t capacity) : site_(site), capacity_(capacity) {}

    /// Adds the terms at `places`.
    void add_to(const std::vector<device_place> & places, const built_graph & graph, graph_editor & editor);

    /// Uploads the coefficients of a micro-batch, and the directions where others are used than before. Returns true
    /// if it uploaded directions.
    bool set(const row_programs & full, const row_programs & cut, const steering_plan & plan);

private:
    /// Layers with one product.
    struct product {
        ggml_tensor * directions;  ///< [capacity, width, layers]
        std::vector<int> layers;
    };
    ggml_tensor * terms_of(const std::vector<device_place> & places, size_t begin, size_t end,
                           const built_graph & graph);
    ggml_tensor * coefficients_input(bool cut, int64_t rows, const built_graph & graph);
    bool upload_directions(const steering_plan & plan);
    void upload_coefficients(ggml_tensor * input, const row_programs & programs);

    int32_t site_;
    int64_t capacity_;
    std::vector<product> products_;
    ggml_tensor * coefficients_[2] = {nullptr, nullptr};  ///< of all rows, of the output rows: [capacity, rows]
    std::map<const direction_set *, int64_t> slots_;      ///< of what the device holds
    std::vector<uint64_t> uploaded_;                      ///< hash by slot of what the device holds
    std::vector<float> scratch_;
};

}  // namespace llama_steer
