#pragma once

#include "cancellation.h"
#include "file_sink.h"
#include "row_block.h"
#include "shard_header.h"

#include <filesystem>
#include <memory>
#include <vector>

namespace llama_steer::storage {

/// One shard being written. Rows are written first and committed after: until the checksums of their labels are there,
/// no reader sees them, and what is written again replaces them. Everything throws FILE_WRITE_FAILED. One thread at a
/// time.
class shard_writer {
public:
    /// A new shard, which has no name before `publish`, and goes with this object if it never gets one.
    /// @param header its `rows` and `state` do not matter
    /// @param durable every step returns once it lies on the disk, rather than the last ones alone
    shard_writer(const std::filesystem::path & directory, shard_header header, bool durable);

    /// Goes on with a shard that holds `committed` rows: clears what an interrupted writer left after them.
    shard_writer(const std::filesystem::path & directory, const shard_header & header, uint64_t committed,
                 bool durable);

    ~shard_writer();
    shard_writer(const shard_writer &) = delete;
    shard_writer & operator=(const shard_writer &) = delete;

    uint64_t rows() const { return rows_; }
    uint64_t room() const { return layout_.capacity - rows_; }
    const shard_header & header() const { return header_; }

    /// Writes rows [begin, begin + count) of the block, their checksums and labels, behind the rows committed. Also
    /// throws NOT_FINITE for a value that would overflow, ABORTED.
    void write_rows(const row_block & block, size_t begin, size_t count, const cancellation & cancelled);

    /// Commits the rows written last, by one write: of the checksums of their labels.
    void commit();

    /// Gives the shard its name.
    void publish();

    /// Says that no rows follow in this shard, which must be full; on the disk when it returns.
    void finish(shard_state state);

    /// The same for a shard that is not full: replaces it, in one step, by one with just the room that its rows need.
    /// Must be the last call.
    void compact();

private:
    void write_layer(const row_block & block, size_t slot, size_t begin, size_t count, const cancellation & cancelled);
    void write_labels(const row_block & block, size_t begin, size_t count);
    void clear_labels();

    std::filesystem::path final_path_;
    shard_header header_;
    shard_layout layout_;
    bool durable_;
    bool published_;
    uint64_t rows_ = 0;
    std::vector<uint32_t> checksums_;  ///< [rows written last][layers]
    std::vector<uint32_t> commits_;    ///< [rows written last]
    file_sink sink_;
};

}  // namespace llama_steer::storage
