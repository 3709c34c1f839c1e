#include "fold_job.h"

namespace llama_steer {

void file_fold_job::operator()(const ridge::abort_check & aborted) const {
    const storage::capture_description & file = reader->description();
    const auto width = static_cast<size_t>(file.width);
    const std::vector<storage::shard_range> ranges = reader->ranges(from, count);
    ridge::segmented_rows rows;
    classes.give(rows);
    for (const storage::shard_range & each : ranges) {
        std::vector<ridge::row_block> & layers = rows.segments.emplace_back();
        const uint64_t number = reader->shard(each.shard).header().first_row + each.first;
        for (const size_t slot : slots) {
            const auto * first = static_cast<const std::byte *>(reader->layer_rows(each.shard, slot).data);
            layers.push_back({first + each.first * width * element_bytes(file.type), file.type,
                              static_cast<size_t>(each.rows), width, width, static_cast<size_t>(number)});
        }
    }
    const auto check = [&](size_t segment, size_t row, size_t some) {
        const storage::shard_range & range = ranges[segment];
        reader->shard(range.shard).check_mapped(slots, range.first + row, some, aborted);
    };
    target->fold(rows, check, aborted);
}

}  // namespace llama_steer
