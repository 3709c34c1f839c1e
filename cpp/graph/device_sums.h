#pragma once

#include "graph/device_directions.h"
#include "graph/graph_editor.h"
#include "graph/seam.h"
#include "steering/row_programs.h"
#include "steering/steering_plan.h"

#include <memory>
#include <vector>

struct ggml_tensor;

namespace llama_steer {

/// A place on a device where plain sums are added, and nothing else is done.
struct device_place {
    ggml_tensor * tensor;
    int layer;
    int64_t width;  ///< floats in a row
    int64_t n_rows;
    bool cut;                           ///< its rows are the output rows
    ggml_backend_buffer_type * memory;  ///< of its device
};

/// Room that a graph is built with, so that other lists seldom rebuild it: powers of two.
struct device_capacity {
    int64_t sets = 1;   ///< distinct direction sets
    int64_t terms = 1;  ///< sums on one row

    static device_capacity for_plan(const steering_plan & plan);
    bool operator==(const device_capacity & other) const { return sets == other.sets && terms == other.terms; }
};

/// Plain sums at the layers of one site that lie on a device, in operators every backend has, exact to the last bit of
/// what the host computes. One input says for every row which directions it gets and how strongly. Two operators make
/// the terms of many layers at once: a gather from the directions, which stay on the device, and a multiplication; so
/// hundreds of distinct vectors cost what one costs. What is left in the layers is an ADD right behind the ADD that
/// makes the residual, its right operand laid out like that one's, which CUDA fuses with it to one kernel, as it does
/// with those of further terms.
///
/// The two run right before the first of their layers: nodes before those of the first device layer would be taken for
/// the host's, together with the embeddings' lookup, and the terms of every layer copied over.
class device_sums {
public:
    device_sums(int32_t site, const device_capacity & capacity) : site_(site), capacity_(capacity) {}

    /// Nodes that one place may need.
    static int nodes_per_place(const device_capacity & capacity) { return 2 * static_cast<int>(capacity.terms) + 8; }

    /// Adds the terms at `places`. Throws OUT_OF_MEMORY.
    void add_to(const std::vector<device_place> & places, const built_graph & graph, graph_editor & editor,
                direction_store & store);

    /// Uploads what a micro-batch needs: its rows' directions and strengths, and directions that were not used before.
    /// Returns true if it uploaded directions.
    bool set(const row_programs & full, const row_programs & cut, const steering_plan & plan);

private:
    /// Layers whose terms are made at once.
    struct batch {
        std::shared_ptr<device_directions> directions;
        bool cut;
        int64_t n_rows;
        int64_t n_layers;
        ggml_tensor * input;  ///< strengths [terms][rows], then for every layer slots [terms][rows] as int32
    };
    /// Where a batch is to be added: `count` places, the first of which is the `first_layer`th of its directions.
    struct batch_places {
        std::shared_ptr<device_directions> directions;
        const device_place * places;
        size_t count;
        int64_t first_layer;
    };
    /// How many of the places, from the first on, one batch takes.
    size_t batch_size(const device_place * places, size_t count) const;
    void add_batch(const batch_places & where, const built_graph & graph, graph_editor & editor);
    /// Terms [width, rows of one term after those of another, layers].
    ggml_tensor * terms_of(const batch & made, int64_t first_layer, const built_graph & graph);
    void upload(const batch & to, const row_programs & programs);

    int32_t site_;
    device_capacity capacity_;
    std::vector<batch> batches_;
    std::vector<float> scratch_;
};

}  // namespace llama_steer
