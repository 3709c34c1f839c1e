#include "directions.h"

#include "base/error.h"
#include "layer_loop.h"

#include <algorithm>
#include <mutex>
#include <string>
#include <utility>

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

// How many layers to fit side by side within the budget.
std::size_t workers_within(std::size_t budget, std::size_t layers, std::size_t width, std::size_t bytes,
                           std::size_t result_bytes) {
    const std::size_t workers = layer_workers(layers, width);
    if (budget == 0) return workers;
    if (budget < result_bytes + bytes) {
        throw error(error_code::OUT_OF_MEMORY, "the fits need " + std::to_string(result_bytes + bytes) +
                                                   " bytes beside their rows, and the budget is " +
                                                   std::to_string(budget) +
                                                   ": raise it, or fit fewer layers, lambdas or prompts at a time");
    }
    return std::min(workers, (budget - result_bytes) / bytes);
}

}  // namespace

std::vector<std::vector<direction>> fit_direction_paths(const layer_block & features, const double * scores,
                                                        std::size_t score_count, const direction_options & options,
                                                        const std::vector<double> & lambdas,
                                                        const layer_block & preserve, const fit_progress & progress,
                                                        std::size_t budget) {
    check_block(features, "features");
    const bool preserving = preserve.layers != 0 || preserve.data != nullptr;
    if (preserving) {
        check_block(preserve, "preserve");
        if (preserve.layers != features.layers) {
            throw error(error_code::WIDTH_MISMATCH, "preserve has " + std::to_string(preserve.layers) +
                                                        " layers, features " + std::to_string(features.layers));
        }
    }

    const std::size_t layers = features.layers, width = features.cols;
    const std::size_t bytes = direction_bytes(features.rows, preserve.rows, width, options, lambdas.size());
    const std::size_t result_bytes = layers * lambdas.size() * (width * sizeof(float) + sizeof(direction));
    const std::size_t workers = workers_within(budget, layers, width, bytes, result_bytes);
    const std::size_t all = layers * (1 + options.resampling.folds + options.resampling.resamples);

    std::vector<std::vector<direction>> fitted(layers);
    std::size_t done = 0;
    std::mutex reporting;
    const auto step = [&] {
        std::lock_guard<std::mutex> guard(reporting);
        done++;
        if (progress.stepped) progress.stepped(done, all);
    };
    for_each_layer(layers, workers, [&](std::size_t l, std::size_t) {
        try {
            const matrix_view kept = preserving ? preserve.layer(l) : matrix_view();
            fitted[l] = fit_direction_path(features.layer(l), scores, score_count, options, lambdas, kept,
                                           progress.aborted, step);
            std::lock_guard<std::mutex> guard(reporting);
            if (progress.finished) progress.finished(l);
        } catch (const error & e) {
            throw in_layer(e, l);
        }
    });
    return fitted;
}

std::vector<direction> fit_directions(const layer_block & features, const double * scores, std::size_t score_count,
                                      const direction_options & options, const layer_block & preserve,
                                      const fit_progress & progress) {
    std::vector<direction> fitted;
    for (auto & path :
         fit_direction_paths(features, scores, score_count, options, {options.lambda}, preserve, progress)) {
        fitted.push_back(std::move(path.front()));
    }
    return fitted;
}

}  // namespace llama_steer::ridge
