// One block of rows on its way into an accumulator (see moments_accumulator.h for what it promises).
#pragma once

#include "moments_accumulator.h"
#include "row_chunks.h"

#include <cstddef>
#include <optional>
#include <vector>

namespace llama_steer::ridge {

/// Used once: `prepare`, which may fail and writes nothing to the target, then `commit`.
class block_fold {
public:
    /// Checks shapes, groups and weights. The arguments must outlive this.
    /// @param disposable the target is thrown away where this fails, so that `commit` may be aborted too
    block_fold(moments_accumulator & target, const fold_rows & rows, const abort_check & aborted,
               bool disposable = false);

    /// Whether no row counts.
    bool empty() const { return sorted_.parts.empty(); }

    void prepare();
    void commit();

private:
    /// What one thread needs beside its results.
    struct scratch {
        std::vector<double> shift;  ///< [width]
        std::vector<float> halves;  ///< [width]: a row of float16 as float32
        std::optional<row_chunks> chunks;
    };
    using part = grouped_rows::part;

    bool fits_beside() const;
    void take_memory();
    double * mean_of(std::size_t layer, std::size_t part_index);
    double * second_of(std::size_t layer, std::size_t part_index);

    void prepare_layer(std::size_t layer, scratch & own);
    void sum_mean(const row_block & block, const part & rows, scratch & own, double * mean) const;
    void sum_diagonal(const row_block & block, const part & rows, scratch & own, const double * mean,
                      double * second) const;
    /// `extra`: one more row [width] to be summed, or null. `aborted` empty: not to be stopped.
    void sum_full(const row_block & block, const part & rows, scratch & own, const double * mean, const double * extra,
                  packed_lower second, const abort_check & aborted) const;

    void commit_in_place(std::size_t layer, scratch & own);

    moments_accumulator & target_;
    const fold_rows & input_;
    const abort_check & aborted_;
    const bool disposable_;
    const grouped_rows sorted_;
    const std::size_t width_, workers_;
    const bool beside_;  ///< M2 is summed up beside the accumulator
    std::vector<scratch> scratch_;
    std::vector<double> means_, seconds_;  ///< [layers][parts][width], [layers][parts][second_size] if beside
};

}  // namespace llama_steer::ridge
