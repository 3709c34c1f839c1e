#include "ridge_file_job.h"

#include "arguments.h"
#include "capture_reader_wrap.h"
#include "errors.h"
#include "ridge_arguments.h"

#include <algorithm>
#include <cstddef>
#include <optional>

namespace llama_steer {

namespace {

constexpr std::uint64_t piece_bytes = std::uint64_t(32) << 20, least_piece_rows = 512;

/// Consecutive rows of one shard, as many as are summed up at once.
std::vector<storage::shard_range> pieces_of(const ridge_file_job & job) {
    const storage::capture_description & file = job.reader->description();
    const std::uint64_t row_bytes = static_cast<std::uint64_t>(file.width) * element_bytes(file.type);
    const std::uint64_t most = std::max(least_piece_rows, piece_bytes / row_bytes);
    std::vector<storage::shard_range> pieces;
    for (const storage::shard_range & each : job.reader->ranges(job.from, job.count)) {
        for (std::uint64_t done = 0; done < each.rows; done += most) {
            pieces.push_back({each.shard, each.first + done, std::min(most, each.rows - done)});
        }
    }
    return pieces;
}

}  // namespace

void ridge_file_job::operator()(const ridge::abort_check & aborted,
                                const std::function<void(double)> & progress) const {
    const storage::capture_description & file = reader->description();
    const auto width = static_cast<std::size_t>(file.width);
    // Now, when a message can still call them by their number among all.
    ridge::ridge_problem whole;
    whole.features.rows = static_cast<std::size_t>(count);
    whole.targets = targets.data();
    whole.target_count = target->targets();
    whole.weights = weights.empty() ? nullptr : weights.data();
    ridge::check_targets_and_weights(whole, true);

    const std::vector<storage::shard_range> pieces = pieces_of(*this);
    std::optional<ridge::ridge_accumulator> sum;
    if (pieces.size() > 1) {
        sum.emplace(target->cols(), target->targets());
    }
    std::size_t done = 0;
    for (const storage::shard_range & piece : pieces) {
        ridge::stop_if(aborted);
        const storage::shard_reader & shard = reader->shard(piece.shard);
        shard.check_mapped({slot}, piece.first, piece.rows, aborted);
        const auto * rows = static_cast<const std::byte *>(reader->layer_rows(piece.shard, slot).data);
        ridge::ridge_problem part = whole;
        part.features = {rows + piece.first * width * element_bytes(file.type),
                         file.type,
                         static_cast<std::size_t>(piece.rows),
                         width,
                         width,
                         static_cast<std::size_t>(shard.header().first_row + piece.first)};
        part.targets += done * target->targets();
        part.weights += weights.empty() ? 0 : done;
        (sum ? *sum : *target).add(part, aborted);
        done += part.features.rows;
        progress(static_cast<double>(done) / static_cast<double>(count));
    }
    if (sum) {
        target->merge(*sum);
    }
}

std::shared_ptr<const ridge_file_job> ridge_file_job_of(const std::shared_ptr<ridge::ridge_accumulator> & target,
                                                        const Napi::Value & reader, const Napi::Object & options) {
    auto job = std::make_shared<ridge_file_job>();
    job->target = target;
    job->reader = unwrap_argument<capture_reader_wrap>(reader, "the capture file")->get();
    const auto layers = static_cast<std::int64_t>(job->reader->description().layers.size());
    job->slot = static_cast<std::size_t>(integer_argument(options.Get("slot"), "slot", 0, layers - 1));
    const auto rows = static_cast<std::int64_t>(job->reader->rows());
    job->from = static_cast<std::uint64_t>(integer_argument(options.Get("from"), "from", 0, rows));
    const std::int64_t left = rows - static_cast<std::int64_t>(job->from);
    job->count = static_cast<std::uint64_t>(integer_argument(options.Get("count"), "count", 0, left));
    job->targets = numbers_argument(options.Get("targets"), "targets");
    ridge::ridge_problem shape;
    shape.features.rows = static_cast<std::size_t>(job->count);
    take_targets(options, job->targets, job->weights, shape);
    if (shape.features.rows > 0 && shape.target_count != target->targets()) {
        throw error(error_code::WIDTH_MISMATCH, std::to_string(shape.target_count) +
                                                    " targets of each row do not fit an "
                                                    "accumulator of " +
                                                    std::to_string(target->targets()));
    }
    return job;
}

}  // namespace llama_steer
