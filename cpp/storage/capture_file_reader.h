#pragma once

#include "cancellation.h"
#include "capture_description.h"
#include "shard_reader.h"

#include <filesystem>
#include <functional>
#include <memory>
#include <vector>

namespace llama_steer::storage {

/// What a fit reads without a copy: rows of one layer in one shard, in order.
struct mapped_rows {
    const void * data = nullptr;  ///< [rows][width] of the file's type
    uint64_t rows = 0;
};

/// Consecutive rows of one shard.
struct shard_range {
    size_t shard = 0;
    uint64_t first = 0;  ///< counted in the shard
    uint64_t rows = 0;
};

/// A capture's committed rows, as they are when it is opened. Any thread.
class capture_file_reader {
public:
    /// Throws FILE_NOT_FOUND (no directory, or one without a capture), FILE_UNREADABLE, DATA_DAMAGED.
    /// @param recover see `shard_reader`
    explicit capture_file_reader(const std::filesystem::path & directory, bool recover = false);

    const capture_description & description() const { return shards_.front()->header().description; }
    uint64_t rows() const;
    /// Whether the capture was closed. False while a writer is at work, and where one died.
    bool complete() const { return shards_.back()->header().state == shard_state::complete; }

    size_t shards() const { return shards_.size(); }
    const shard_reader & shard(size_t i) const { return *shards_[i]; }

    /// Where rows [from, from + count) lie, in order; empty for none. Throws INVALID_ARGUMENT where there are fewer
    /// rows.
    std::vector<shard_range> ranges(uint64_t from, uint64_t count) const;

    /// Copies rows [from, from + count) of the layers at `slots` to [slots][count][width] elements of type `as`. Every
    /// row is checked. Throws as `shard_reader::copy`, INVALID_ARGUMENT where there are fewer rows or layers.
    void copy(const std::vector<size_t> & slots, uint64_t from, size_t count, element_type as, void * into,
              const cancellation & cancelled = {}) const;

    /// Checks every byte. `progress` gets the fraction done. Throws DATA_DAMAGED, FILE_UNREADABLE, ABORTED.
    void verify(const std::function<void(double)> & progress, const cancellation & cancelled) const;

    /// The rows of a layer where they lie mapped, not checked against checksums (see `shard_reader::mapped_rows`).
    /// Valid as long as the reader.
    mapped_rows layer_rows(size_t shard, size_t slot) const;

private:
    void check_order() const;

    std::vector<std::unique_ptr<const shard_reader>> shards_;
};

}  // namespace llama_steer::storage
