// The rows of a block sorted by the group that each belongs to.
#pragma once

#include <cstddef>
#include <cstdint>
#include <vector>

namespace llama_steer::ridge {

/// What one class of samples sums up to.
struct weight_sums {
    std::uint64_t count = 0;  ///< rows of positive weight
    double weight = 0;        ///< W = sum w
    double squares = 0;       ///< sum w^2

    /// W^2 / sum w^2: as many rows of equal weight would tell as much. 0 where there are none. Source: Kish, Survey
    /// Sampling (1965).
    double effective() const { return count == 0 ? 0 : weight / squares * weight; }
};

struct grouped_rows {
    struct part {
        std::size_t group, first;  ///< its rows are [first, first + sums.count) of the lists below
        weight_sums sums;
    };
    std::vector<std::size_t> rows;  ///< by group, then in the order given; those that count only
    std::vector<double> weights;    ///< of `rows`
    std::vector<part> parts;        ///< groups that have rows, ascending
};

/// A positive weight lies between these, so that no sum over 2^53 rows of float32 can overflow or lose a square.
constexpr double smallest_weight = 1e-100, largest_weight = 1e100;

/// Throws as `group_rows` does.
void check_grouping(std::size_t rows, std::size_t group_count, const std::int32_t * groups, std::int32_t group,
                    const double * weights);

/// groups [rows]: the group of each row, -1 for rows to be left out; null: all of group `group`. weights [rows]; null:
/// all 1. Rows of weight 0 are left out too. Throws NOT_FINITE or INVALID_ARGUMENT, naming the element.
grouped_rows group_rows(std::size_t rows, std::size_t group_count, const std::int32_t * groups, std::int32_t group,
                        const double * weights);

}  // namespace llama_steer::ridge
