#include "directions.h"

#include "base/error.h"
#include "layer_loop.h"

#include <mutex>
#include <string>

namespace llama_steer::ridge {

namespace {

void check_block(const layer_block & block, const char * name) {
    const std::string who = name;
    if (block.layers == 0) throw error(error_code::INVALID_ARGUMENT, who + " has no layers");
    check_view(block.layer(0), name);
    const std::size_t last = (block.rows - 1) * block.row_stride + block.cols;
    if (block.layers > 1 && block.layer_stride < last) {
        throw error(error_code::INVALID_ARGUMENT, who + ": the layer stride " + std::to_string(block.layer_stride) +
                                                      " is shorter than a layer of " + std::to_string(last));
    }
}

}  // namespace

std::vector<direction> fit_directions(const layer_block & features, const double * scores, std::size_t score_count,
                                      const direction_options & options, const layer_block & preserve,
                                      const fit_progress & progress) {
    check_block(features, "features");
    const bool preserving = preserve.layers != 0 || preserve.data != nullptr;
    if (preserving) {
        check_block(preserve, "preserve");
        if (preserve.layers != features.layers) {
            throw error(error_code::WIDTH_MISMATCH, "preserve has " + std::to_string(preserve.layers) +
                                                        " layers, features " + std::to_string(features.layers));
        }
    }

    std::vector<direction> fitted(features.layers);
    std::mutex reporting;
    for_each_layer(features.layers, layer_workers(features.layers, features.cols), [&](std::size_t l, std::size_t) {
        try {
            const matrix_view kept = preserving ? preserve.layer(l) : matrix_view();
            fitted[l] = fit_direction(features.layer(l), scores, score_count, options, kept, progress.aborted);
            std::lock_guard<std::mutex> guard(reporting);
            if (progress.finished) progress.finished(l);
        } catch (const error & e) {
            throw in_layer(e, l);
        }
    });
    return fitted;
}

}  // namespace llama_steer::ridge
