#pragma once

#include "cancellation.h"
#include "capture_description.h"
#include "row_block.h"
#include "shard_writer.h"
#include "writer_lock.h"

#include <atomic>
#include <filesystem>
#include <memory>
#include <mutex>

namespace llama_steer::storage {

struct capture_writer_options {
    uint64_t shard_bytes = uint64_t{256} << 20;  ///< about as large a shard becomes; no smaller than one row
    bool append = false;                         ///< go on with what is there; else the directory must hold no capture
    bool recover = false;  ///< with `append`: go on before the first damaged row, see `shard_reader`
    bool durable = false;  ///< an append returns once its rows lie on the disk
};

/// Writes activations to a directory of shards; docs/capture-files.md has the format and what holds when a writer is
/// killed. Any thread: calls wait for each other.
class capture_file_writer {
public:
    /// Makes the directory where it is missing. Throws INVALID_ARGUMENT (a description that no file can hold, a capture
    /// already there, or another than the one to go on with), WIDTH_MISMATCH, FILE_IN_USE, FILE_WRITE_FAILED,
    /// DATA_DAMAGED (what is there).
    capture_file_writer(const std::filesystem::path & directory, const capture_description & description,
                        const capture_writer_options & options);

    /// As if the process was killed, unless closed.
    ~capture_file_writer();

    const capture_description & description() const { return description_; }

    /// Rows committed, those from before included.
    uint64_t rows() const { return rows_; }

    /// Appends all rows of the block or none. Throws FILE_WRITE_FAILED, NOT_FINITE, ABORTED, INVALID_ARGUMENT (layers
    /// missing); the writer can go on after each, and do the same again: only where the last step itself fails, that
    /// makes written rows count, further appends are refused with FILE_WRITE_FAILED, and `append` of a new writer
    /// continues with what was committed. DISPOSED after `close`.
    void append(const row_block & block, const cancellation & cancelled = {});

    /// Finishes the last shard and lets go of the directory, also when it throws FILE_WRITE_FAILED: then the capture is
    /// as if its writer had been killed. Calling it again does nothing.
    void close();

private:
    void go_on_with(const capture_description & given, uint32_t shards);
    std::unique_ptr<shard_writer> next_shard(uint32_t number, uint64_t first_row);
    void check(const row_block & block) const;
    struct part;
    void commit(std::vector<part> & parts);

    std::filesystem::path directory_;
    capture_description description_;
    capture_writer_options options_;
    std::mutex mutex_;
    std::atomic<uint64_t> rows_{0};
    bool broken_ = false;
    std::unique_ptr<writer_lock> lock_;
    std::unique_ptr<shard_writer> current_;
};

}  // namespace llama_steer::storage
