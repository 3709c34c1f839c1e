// Directions for many layers at once.
#pragma once

#include "direction.h"

#include <cstddef>
#include <functional>
#include <vector>

namespace llama_steer::ridge {

/// One block of hidden states: layer l, row i, column j at data[l * layer_stride + i * row_stride + j] (in elements).
struct layer_block {
    const float * data = nullptr;
    std::size_t layers = 0, rows = 0, cols = 0;
    std::size_t row_stride = 0, layer_stride = 0;

    matrix_view layer(std::size_t l) const { return {data + l * layer_stride, rows, cols, row_stride}; }
};

struct fit_progress {
    abort_check aborted;
    /// Called after each layer with its number, in the order in which they end; never by two threads at once.
    std::function<void(std::size_t layer)> finished;
    /// Called after every fit of a layer, those of its diagnostics too, with how many of all are done; never by two
    /// threads at once.
    std::function<void(std::size_t done, std::size_t all)> stepped;
};

/// fit_direction for every layer, in layer order. Wide layers (d > 512) run one after the other with the kernels on all
/// threads; narrow ones side by side, each on one thread, while serial_kernels holds for the process. `preserve` has as
/// many layers as `features`, or none at all. Errors are fit_direction's with "layer N: " before the message, that of
/// the lowest failing layer; then no result is returned.
std::vector<direction> fit_directions(const layer_block & features, const double * scores, std::size_t score_count,
                                      const direction_options & options, const layer_block & preserve = {},
                                      const fit_progress & progress = {});

/// fit_direction_path for every layer: [layer][lambda]. `budget`: the most bytes that the fits may take beside their
/// arguments, 0 for no limit; OUT_OF_MEMORY, with what they need, before anything is done where that is more. Fewer
/// layers go side by side where that makes them fit.
std::vector<std::vector<direction>> fit_direction_paths(const layer_block & features, const double * scores,
                                                        std::size_t score_count, const direction_options & options,
                                                        const std::vector<double> & lambdas,
                                                        const layer_block & preserve = {},
                                                        const fit_progress & progress = {}, std::size_t budget = 0);

}  // namespace llama_steer::ridge
