#include "compact_shard.h"

#include "file_sink.h"
#include "mapped_file.h"

#include <algorithm>
#include <string>
#include <vector>

namespace llama_steer::storage {

namespace {

class copier {
public:
    copier(const mapped_file & from, file_sink & to) : from_(from), to_(to), buffer_(size_t{1} << 20) {}

    void copy(uint64_t from, uint64_t to, uint64_t bytes) {
        for (uint64_t done = 0; done < bytes; done += buffer_.size()) {
            const auto some = static_cast<size_t>(std::min<uint64_t>(buffer_.size(), bytes - done));
            from_.read(from + done, buffer_.data(), some);
            to_.write(to + done, buffer_.data(), some);
        }
    }

private:
    const mapped_file & from_;
    file_sink & to_;
    std::vector<char> buffer_;
};

}  // namespace

void write_compacted(const std::filesystem::path & from, const shard_layout & source, const shard_header & compacted,
                     const std::filesystem::path & to) {
    const std::string header = encode_shard_header(compacted);
    const shard_layout target = layout_of(compacted, header.size());
    const uint64_t rows = compacted.rows;
    const mapped_file original(from);
    file_sink sink(to, file_sink::mode::create);
    sink.resize(target.file_bytes());
    sink.write(0, header.data(), header.size());
    copier part(original, sink);
    for (size_t column = 0; column <= label_columns.size(); ++column) {
        part.copy(source.label_at(column, 0), target.label_at(column, 0), 4 * rows);
    }
    part.copy(source.checksums_at(0), target.checksums_at(0), 4 * rows * source.layers);
    for (uint64_t slot = 0; slot < source.layers; ++slot) {
        part.copy(source.row_at(slot, 0), target.row_at(slot, 0), rows * source.row_bytes);
    }
    sink.sync();
}

}  // namespace llama_steer::storage
