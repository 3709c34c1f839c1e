// The rows of a ridge problem as its systems need them: those of positive weight, centred where there is an intercept,
// times the root of their weight. Nothing is stored but the targets: each pass converts the rows anew, a chunk at a
// time.
#pragma once

#include "ridge_problem.h"
#include "row_chunks.h"

#include <cmath>
#include <vector>

namespace llama_steer::ridge {

/// One thread at a time.
class ridge_rows {
public:
    /// Takes a checked problem that outlives it. Throws ABORTED.
    ridge_rows(const ridge_problem & problem, const abort_check & aborted);

    std::size_t count() const { return active_.size(); }
    std::size_t cols() const { return problem_.features.cols; }
    std::size_t targets() const { return problem_.target_count; }

    double total_weight() const { return total_; }
    /// Kish's W^2 / sum w^2: n where all weights are equal.
    double effective_count() const { return total_ * total_ / squares_; }
    double weight(std::size_t i) const { return weights_[i]; }
    /// Weight over the sum of weights with an intercept, else 0: what the mean adds to a row's leverage.
    double mean_leverage(std::size_t i) const { return problem_.intercept ? weights_[i] / total_ : 0; }
    bool intercept() const { return problem_.intercept; }
    const abort_check & aborted() const { return aborted_; }

    const std::vector<double> & mean() const { return mean_; }                ///< [d], 0 without intercept
    const std::vector<double> & target_mean() const { return target_mean_; }  ///< [k], the same
    /// [k, n] targets, centred and weighted; a row for each target.
    const_matrix_f64 y() const { return {y_.data(), targets(), count()}; }

    /// use(first, X): chunks X [some, d] of centred, weighted rows in order, `first` being the number of their first
    /// row among the active ones; it may overwrite X. Asks for an abort before each.
    template <typename user>
    void each_chunk(user && use) const {
        row_chunks chunks(count(), cols());
        std::vector<float> room(cols());
        std::size_t first = 0;
        chunks.each(
            count(), [&](std::size_t i, double * out) { write_row(i, room.data(), out); },
            [&](matrix_f64 x) {
                stop_if(aborted_);
                use(first, x);
                first += x.rows;
            });
    }

    /// The same in float32: rounded once, from float64.
    template <typename user>
    void each_float_chunk(user && use) const {
        const std::size_t most = std::min(count(), chunk_rows(cols(), sizeof(float)));
        std::vector<float> room(cols()), chunk(most * cols());
        for (std::size_t first = 0; first < count(); first += most) {
            stop_if(aborted_);
            const std::size_t rows = std::min(most, count() - first);
            for (std::size_t i = 0; i < rows; i++) write_row(first + i, room.data(), &chunk[i * cols()]);
            use(first, basic_matrix_view<const float>(chunk.data(), rows, cols()));
        }
    }

    /// Columns [from, from + out.cols) of all rows, centred and weighted, to out [n, some].
    template <typename real>
    void write_columns(std::size_t from, basic_matrix_view<real> out) const;

    /// out [any, n] = b X^T for b [any, d].
    void multiply(const_matrix_f64 b, matrix_f64 out) const;
    /// out [any, d] = c X for c [any, n].
    void multiply_transposed(const_matrix_f64 c, matrix_f64 out) const;
    /// out [any, d] = p X^T X for p [any, d], in one pass.
    void multiply_gram(const_matrix_f64 p, matrix_f64 out) const;
    /// out [b.rows, d] = (y - b X^T) X, where row r of b is for target r % k: the normal equations' residual without
    /// its penalty, in one pass.
    void normal_residual(const_matrix_f64 b, matrix_f64 out) const;
    /// The sum of |x_i|^2, the trace of X^T X; summed up when it is first asked for.
    double trace() const;

    /// [n_all, k] y - x b - a of every row, those of weight 0 too.
    std::vector<double> residuals(const std::vector<double> & b, const std::vector<double> & a) const;

private:
    void find_active();
    void find_means();
    void write_row(std::size_t i, float * room, double * out) const;
    void write_row(std::size_t i, float * room, float * out) const;
    std::size_t parts() const;
    template <typename user>
    void each_few(std::size_t parts, const user & use) const;
    void add_rows(const std::vector<double> & origin, std::vector<double> & out) const;
    void fold(double sign, const_matrix_f64 p, const_matrix_f64 c, matrix_f64 out) const;

    const ridge_problem & problem_;
    const abort_check & aborted_;
    std::vector<std::size_t> active_;
    std::vector<double> weights_, roots_;  ///< [n], of active rows
    double total_ = 0, squares_ = 0;
    std::vector<double> mean_, target_mean_, y_;
    mutable double trace_ = -1;  ///< negative: not known yet
};

}  // namespace llama_steer::ridge
