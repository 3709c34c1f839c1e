// Running moments of rows x_i in R^d with weights w_i >= 0, for each of L layers and G groups:
//
//   n = number of rows with w_i > 0        W = sum w_i        Q = sum w_i^2
//   mean = sum w_i x_i / W                 M2 = sum w_i (x_i - mean)(x_i - mean)^T
//
// all in float64; M2 whole, its diagonal only, or not at all. Memory does not grow with the number of rows: for each
// layer and group 8 d bytes of mean, and 8 d (diagonal) or 4 d (d + 256) (full, see packed_lower.h) of M2.
//
// Two sets of rows a and b become one without looking at rows again, in whatever order sets are joined:
//
//   delta = mean_b - mean_a        mean = mean_a + delta W_b / (W_a + W_b)
//   M2    = M2_a + M2_b + (W_a W_b / (W_a + W_b)) delta delta^T
//
// A block of rows is folded that way: its mean by a pass of its own (as an offset from its first row), M2_b from rows
// centred on that mean. No sum of squares about 0 is ever taken, so that a large common offset costs no digits. Source:
// Chan, Golub, LeVeque, "Algorithms for computing the sample variance", The American Statistician 37 (1983), with
// weights as in West, Communications of the ACM 22 (1979).
//
// An accumulator is for one thread at a time.
#pragma once

#include "control.h"
#include "grouped_rows.h"
#include "matrix_view.h"
#include "packed_lower.h"
#include "row_block.h"

#include <cstddef>
#include <cstdint>
#include <cstdlib>
#include <functional>
#include <memory>
#include <vector>

namespace llama_steer::ridge {

enum class second_moment { none, diagonal, full };

/// Widths beyond it are refused; sizes below never overflow 64 bits.
constexpr std::size_t largest_width = std::size_t(1) << 30;

struct moments_shape {
    std::vector<std::int32_t> layers;  ///< their numbers in the model, ascending, >= 0
    std::size_t groups = 1;
    std::size_t width = 0;  ///< d
    second_moment second = second_moment::full;

    std::size_t cells() const { return layers.size() * groups; }
    /// Numbers of M2 in a cell.
    std::size_t second_size() const;
    /// Memory of an accumulator. Throws INVALID_ARGUMENT for a shape that is none, OUT_OF_MEMORY beyond 2^63 bytes.
    std::size_t bytes() const;
};

/// What a finished second moment is divided by: W, as in moments.h, or W - Q / W, which makes it unbiased where weights
/// say how reliable a row is (n - 1 where all are equal). Source: GNU Scientific Library, "Weighted Samples".
enum class normalization { weight, unbiased };

/// Rows to fold: for every layer of the accumulator a block, all with as many rows. Owns nothing.
struct fold_rows {
    std::vector<row_block> layers;
    const std::int32_t * groups = nullptr;  ///< [rows]; -1 leaves a row out. Null: all rows belong to `group`
    std::int32_t group = 0;
    const double * weights = nullptr;  ///< [rows]; null: all 1
};

/// Rows to fold that lie in several places, in order, such as the shards of a file, and may be more than memory holds.
/// Owns nothing.
struct segmented_rows {
    std::vector<std::vector<row_block>> segments;  ///< [segments][layers]; all layers of one have as many rows
    const std::int32_t * groups = nullptr;         ///< [rows of all segments]; else as in fold_rows
    std::int32_t group = 0;
    const double * weights = nullptr;  ///< [rows of all segments]; null: all 1
};

/// Called on the folding thread before rows [row, row + count) of a segment are looked at; what it throws is passed on.
using row_check = std::function<void(std::size_t segment, std::size_t row, std::size_t count)>;

class moments_accumulator {
public:
    /// Throws as shape.bytes(), and OUT_OF_MEMORY saying how much was needed.
    explicit moments_accumulator(moments_shape shape);

    const moments_shape & shape() const { return shape_; }

    /// Adds rows. Rows that are left out are not looked at.
    ///
    /// All or nothing: what throws has changed no bit. Everything is checked, and a block's own moments are computed
    /// beside the accumulator, before the first of them is joined to it; joining neither allocates nor fails. `aborted`
    /// is asked until then, every few hundred rows, and no more afterwards.
    ///
    /// Beside the accumulator lie the means and diagonals of the groups that the block has. Full M2 lie there too where
    /// they take no more than 64 MB, or no more than the rows themselves. Else (few rows of great width) they are
    /// summed up in place: `aborted` is then asked until every row was checked and the means are known, and the sums
    /// that follow, n d^2 operations a layer, run to their end. Should the kernels fail for lack of memory (a few MB a
    /// thread) in the midst of those, the accumulator is lost: this and every later call throws OUT_OF_MEMORY.
    ///
    /// Needs 8 MB more for each layer that is worked on (2 KB d for d > 4096).
    ///
    /// Narrow layers (d <= 512), and all where M2 is not full, run side by side, others with the kernels on all
    /// threads.
    ///
    /// Errors: WIDTH_MISMATCH (columns), INVALID_ARGUMENT (numbers of layers or rows, strides, groups, weights),
    /// NOT_FINITE, OUT_OF_MEMORY, ABORTED; those of a layer say "layer N: ", N being its number in the model.
    void fold(const fold_rows & rows, const abort_check & aborted = {});

    /// Adds rows of several places, in pieces that lie in one of them: of 32 MB or 512 rows, whichever is more, of
    /// rows that count. `check` sees the rows of a piece that count just before the piece is summed up, no others.
    ///
    /// All or nothing too: groups and weights are checked at first, and more than one piece is folded into another
    /// accumulator, which is then merged into this one in a single pass over both that does not fail, or takes its
    /// place if this one is empty. That is as much memory again as this one has for the groups that get rows, asked for
    /// before any row is looked at; where this one is empty it has none yet on systems that hand out pages on first
    /// use. `aborted` is asked every few hundred rows until that pass. A single piece is folded as above.
    ///
    /// Errors as above, with rows by their `row_block::number`.
    void fold(const segmented_rows & rows, const row_check & check, const abort_check & aborted = {});

    /// Adds what another accumulator of the same shape has seen. All or nothing. Throws WIDTH_MISMATCH where widths
    /// differ, INVALID_ARGUMENT where anything else of the shape does, or for itself.
    void merge(const moments_accumulator & other);

    // Layers are counted as in shape().layers, not by their numbers. Out of range: INVALID_ARGUMENT. Where no row of
    // positive weight was seen: EMPTY_CLASS (`sums` then returns zeros). Views live as long as the accumulator, and
    // show what later calls make of them.

    weight_sums sums(std::size_t layer, std::size_t group) const;
    /// [width]
    const double * mean(std::size_t layer, std::size_t group) const;
    /// M2: nothing, [width], or packed_lower's packed_size(width).
    const double * second(std::size_t layer, std::size_t group) const;
    /// out [width]: the diagonal of the covariance. Throws INVALID_ARGUMENT also where there is no M2, or nothing to
    /// divide by (`unbiased` with one row, or with one that outweighs all others).
    void variance(std::size_t layer, std::size_t group, normalization by, double * out) const;
    /// out [width, width], whole. Throws as `variance`, also where M2 is not full; WIDTH_MISMATCH for another `out`.
    void covariance(std::size_t layer, std::size_t group, normalization by, matrix_f64 out) const;

private:
    friend class block_fold;
    friend class moments_reader;

    struct release {
        void operator()(double * memory) const { std::free(memory); }
    };

    double * mean_of(std::size_t layer, std::size_t group) const;
    double * second_of(std::size_t layer, std::size_t group) const { return mean_of(layer, group) + shape_.width; }
    std::size_t cell(std::size_t layer, std::size_t group) const { return layer * shape_.groups + group; }
    void check_usable() const;
    void check_filled(std::size_t layer, std::size_t group) const;
    double divisor(std::size_t layer, std::size_t group, normalization by) const;

    /// Joins moments computed elsewhere to a cell; where `second` is null M2 is left alone. `shift` is scratch [width].
    void join(std::size_t layer, std::size_t group, const weight_sums & sums, const double * mean,
              const double * second, double * shift);

    moments_shape shape_;
    std::vector<weight_sums> sums_;              ///< [layers][groups]
    std::unique_ptr<double[], release> memory_;  ///< [layers][groups][width + second_size]
    bool lost_ = false;
};

/// "moments of 24 layers x 2 groups of width 4096", for messages.
std::string describe(const moments_shape & shape);

}  // namespace llama_steer::ridge
