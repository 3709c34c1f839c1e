#pragma once

#include "cancellation.h"
#include "mapped_file.h"
#include "shard_header.h"

#include <array>
#include <filesystem>
#include <memory>
#include <vector>

namespace llama_steer::storage {

/// One shard for reading: its committed rows. Rows are checked against their checksums whenever they are copied. Any
/// thread.
class shard_reader {
public:
    /// Reads the header and the labels. Throws DATA_DAMAGED where they do not have their checksums, FILE_NOT_FOUND,
    /// FILE_UNREADABLE. A writer may be at work meanwhile.
    /// @param number that the shard must have
    /// @param recover of an unclosed shard, take the rows before the first that is damaged, rather than throw; this
    ///        reads them all
    shard_reader(const std::filesystem::path & path, uint32_t number, bool recover = false);

    const shard_header & header() const { return header_; }
    uint64_t rows() const { return rows_; }

    /// Labels of the rows, by the columns of `label_columns`.
    const std::array<std::vector<int32_t>, 4> & labels() const { return labels_; }

    /// Copies rows [row, row + count) of each of `slots` to the memory of the same index: [count][width] elements of
    /// type `as`. Throws DATA_DAMAGED, with some rows copied; FILE_UNREADABLE, ABORTED. Halves come from files of
    /// halves.
    void copy(const std::vector<size_t> & slots, uint64_t row, size_t count, element_type as,
              const std::vector<void *> & into, const cancellation & cancelled) const;

    /// Checks every byte that the rows take: labels, checksums, rows. Throws as `copy` does.
    void verify(const cancellation & cancelled) const;

    /// Row 0 of a layer in the mapped file, [rows][width], aligned to its element: not checked against checksums. What
    /// `mapped_file` says about touching it holds. Throws DATA_DAMAGED where the file was cut short.
    const void * mapped_rows(size_t slot) const;
    /// Checks rows [row, row + count) of each of `slots` where they lie mapped, after the file's size, without copying
    /// them. Throws DATA_DAMAGED, FILE_UNREADABLE, ABORTED.
    void check_mapped(const std::vector<size_t> & slots, uint64_t row, size_t count,
                      const cancellation & cancelled) const;

private:
    struct contents {
        shard_header header;
        shard_layout layout;
        uint64_t rows = 0;
        std::array<std::vector<int32_t>, 4> labels;
    };
    contents load() const;
    void load_labels(contents & into) const;
    void cut_after(uint64_t rows);
    uint64_t intact_rows() const;
    std::vector<uint32_t> checksums(uint64_t row, size_t count, const shard_layout & layout) const;
    void check_rows(const void * bytes, const uint32_t * expected, size_t slot, uint64_t row, size_t count) const;
    [[noreturn]] void damaged(const std::string & what) const;

    std::string name_;
    uint32_t number_;
    bool recover_;
    std::unique_ptr<mapped_file> file_;
    shard_header header_;
    shard_layout layout_;
    uint64_t rows_ = 0;
    std::array<std::vector<int32_t>, 4> labels_;
};

}  // namespace llama_steer::storage
