#pragma once

#include "graph/seam.h"
#include "steering/coefficients.h"
#include "steering/steering_plan.h"

#include <map>
#include <vector>

struct ggml_tensor;

namespace llama_steer {

/// Steering of layers that lie on a device, in operators every backend has: for each layer the product of its
/// directions D [sets, width] and the rows' coefficients C [sets, rows] gives the terms of all rows, contiguous [width,
/// rows], which one ADD puts onto the residual.
class device_terms {
public:
    /// Room for direction sets that a graph is built with, so that their number seldom rebuilds it: a power of two.
    static int64_t capacity_for(const steering_plan & plan);

    explicit device_terms(const steering_plan & plan) : capacity_(capacity_for(plan)) {}

    /// The residual `site` of `layer` with its terms added; `cut` where its rows are the output rows.
    ggml_tensor * add_to(ggml_tensor * site, int layer, bool cut, const built_graph & graph);

    /// Uploads the coefficients of a micro-batch, and the directions.
    void set(const coefficients & full, const coefficients & cut, const steering_plan & plan);

private:
    ggml_tensor * coefficients_input(bool cut, int64_t rows, const built_graph & graph);
    void upload(ggml_tensor * input, const coefficients & terms);

    int64_t capacity_;
    std::map<int, ggml_tensor *> directions_;             ///< per layer, [capacity, width]
    ggml_tensor * coefficients_[2] = {nullptr, nullptr};  ///< of all rows, of the output rows: [capacity, rows]
    std::map<const direction_set *, int64_t> slots_;
    std::vector<float> scratch_;
};

}  // namespace llama_steer
