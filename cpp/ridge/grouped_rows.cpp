#include "grouped_rows.h"

#include "base/error.h"
#include "finite.h"

#include <sstream>
#include <string>

namespace llama_steer::ridge {

namespace {

bool exists(std::int32_t group, std::size_t group_count) {
    return group >= -1 && (group < 0 || static_cast<std::size_t>(group) < group_count);
}

[[noreturn]] void refuse_group(const std::string & name, std::int32_t group, std::size_t group_count) {
    throw error(error_code::INVALID_ARGUMENT, name + " is " + std::to_string(group) + ": there are groups 0 to " +
                                                  std::to_string(group_count - 1) + ", and -1 leaves a row out");
}

void check_weights(const double * weights, std::size_t count) {
    check_finite(weights, count, "weights");
    for (std::size_t i = 0; i < count; i++) {
        if (weights[i] == 0 || (weights[i] >= smallest_weight && weights[i] <= largest_weight)) continue;
        std::ostringstream text;
        text << "weights[" << i << "] is " << weights[i] << ": a weight is 0, or from " << smallest_weight << " to "
             << largest_weight;
        throw error(error_code::INVALID_ARGUMENT, text.str());
    }
}

}  // namespace

void check_grouping(std::size_t rows, std::size_t group_count, const std::int32_t * groups, std::int32_t group,
                    const double * weights) {
    if (weights) check_weights(weights, rows);
    if (!groups && !exists(group, group_count)) refuse_group("the group", group, group_count);
    for (std::size_t i = 0; groups && i < rows; i++) {
        if (!exists(groups[i], group_count)) refuse_group("groups[" + std::to_string(i) + "]", groups[i], group_count);
    }
}

grouped_rows group_rows(std::size_t rows, std::size_t group_count, const std::int32_t * groups, std::int32_t group,
                        const double * weights) {
    check_grouping(rows, group_count, groups, group, weights);
    const auto group_of = [&](std::size_t i) { return groups ? groups[i] : group; };
    const auto weight_of = [&](std::size_t i) { return weights ? weights[i] : 1.0; };

    std::vector<weight_sums> sums(group_count);
    std::size_t total = 0;
    for (std::size_t i = 0; i < rows; i++) {
        if (group_of(i) < 0 || weight_of(i) == 0) continue;
        weight_sums & own = sums[static_cast<std::size_t>(group_of(i))];
        own.count++;
        own.weight += weight_of(i);
        own.squares += weight_of(i) * weight_of(i);
        total++;
    }

    grouped_rows sorted;
    sorted.rows.resize(total);
    sorted.weights.resize(total);
    std::vector<std::size_t> next(group_count);
    std::size_t first = 0;
    for (std::size_t g = 0; g < group_count; g++) {
        next[g] = first;
        if (sums[g].count > 0) sorted.parts.push_back({g, first, sums[g]});
        first += static_cast<std::size_t>(sums[g].count);
    }
    for (std::size_t i = 0; i < rows; i++) {
        if (group_of(i) < 0 || weight_of(i) == 0) continue;
        const std::size_t at = next[static_cast<std::size_t>(group_of(i))]++;
        sorted.rows[at] = i;
        sorted.weights[at] = weight_of(i);
    }
    return sorted;
}

}  // namespace llama_steer::ridge
