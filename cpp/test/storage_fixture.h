// What the tests of cpp/storage share: folders, rows that can be told apart, files as bytes.
#pragma once

#include "storage/capture_file_reader.h"
#include "storage/capture_file_writer.h"
#include "storage/shard_directory.h"
#include "test/check.h"

#include <atomic>
#include <filesystem>
#include <fstream>
#include <iterator>
#include <random>
#include <string>
#include <vector>

namespace llama_steer::storage_test {

namespace fs = std::filesystem;

/// A folder that goes with this object.
class temporary_folder {
public:
    temporary_folder() {
        static std::atomic<int> next{0};
        static const unsigned random = std::random_device{}();
        path_ = fs::temp_directory_path() /
                ("llama-steer-storage-" + std::to_string(random) + "-" + std::to_string(next++));
        fs::create_directories(path_);
    }
    ~temporary_folder() {
        std::error_code ignored;
        fs::remove_all(path_, ignored);
    }
    temporary_folder(const temporary_folder &) = delete;
    temporary_folder & operator=(const temporary_folder &) = delete;

    fs::path operator/(const std::string & name) const { return path_ / name; }

private:
    fs::path path_;
};

inline std::string bytes_of(const fs::path & path) {
    std::ifstream file(path, std::ios::binary);
    return {std::istreambuf_iterator<char>(file), {}};
}

inline void write_bytes(const fs::path & path, const std::string & bytes) {
    std::ofstream(path, std::ios::binary | std::ios::trunc) << bytes;
}

inline storage::capture_description description(element_type type = element_type::f32) {
    return {"residual", {1, 4, 5}, 8, type, {{"model", "test"}, {"quote", "\"\\\n\xc3\xa9"}}};
}

/// Bytes of a shard for so many rows of `description()`.
inline storage::capture_writer_options shards_of(size_t rows, bool append = false) {
    storage::capture_writer_options options;
    options.shard_bytes = rows * (20 + 3 * (4 + 8 * 4));
    options.append = append;
    return options;
}

/// Rows whose every element tells which it is; exact as halves too.
class numbered_rows {
public:
    numbered_rows(size_t first, size_t count, size_t layers = 3, size_t width = 8) : width_(width) {
        values_.resize(layers);
        for (size_t slot = 0; slot < layers; ++slot) {
            for (size_t row = first; row < first + count; ++row) {
                for (size_t i = 0; i < width; ++i) {
                    values_[slot].push_back(value(slot, row, i));
                }
            }
        }
        for (size_t row = first; row < first + count; ++row) {
            sequence_.push_back(static_cast<int32_t>(row % 3));
            position_.push_back(static_cast<int32_t>(row));
            token_.push_back(static_cast<int32_t>(1000 + row));
            prompt_.push_back(static_cast<int32_t>(row / 2));
        }
    }

    static float value(size_t slot, size_t row, size_t i) {
        return static_cast<float>(static_cast<int>(row * 7 + slot * 31 + i) % 2048 - 1024) / 4;
    }

    storage::row_block block() const {
        storage::row_block block;
        for (const auto & layer : values_) {
            block.layers.push_back(layer.data());
        }
        block.rows = values_.front().size() / width_;
        block.sequence = sequence_.data();
        block.position = position_.data();
        block.token = token_.data();
        block.prompt = prompt_.data();
        return block;
    }

    std::vector<std::vector<float>> & values() { return values_; }

private:
    size_t width_;
    std::vector<std::vector<float>> values_;
    std::vector<int32_t> sequence_, position_, token_, prompt_;
};

inline void write_rows(const fs::path & directory, size_t rows, const storage::capture_writer_options & options,
                       bool close = true, element_type type = element_type::f32) {
    storage::capture_file_writer writer(directory, description(type), options);
    writer.append(numbered_rows(0, rows).block());
    if (close) {
        writer.close();
    }
}

/// Whether the reader gives the first `rows` of `numbered_rows`, labels and all, and no others.
inline bool holds_numbered_rows(const storage::capture_file_reader & reader, size_t rows) {
    if (reader.rows() != rows) {
        return false;
    }
    const size_t width = reader.description().width;
    std::vector<float> values(3 * rows * width);
    reader.copy({0, 1, 2}, 0, rows, element_type::f32, values.data());
    for (size_t slot = 0; slot < 3; ++slot) {
        for (size_t row = 0; row < rows; ++row) {
            for (size_t i = 0; i < width; ++i) {
                if (values[(slot * rows + row) * width + i] != numbered_rows::value(slot, row, i)) {
                    return false;
                }
            }
        }
    }
    size_t row = 0;
    for (size_t shard = 0; shard < reader.shards(); ++shard) {
        const auto & labels = reader.shard(shard).labels();
        for (size_t i = 0; i < labels[0].size(); ++i, ++row) {
            const auto number = static_cast<int32_t>(row);
            if (labels[0][i] != number % 3 || labels[1][i] != number || labels[2][i] != 1000 + number ||
                labels[3][i] != number / 2) {
                return false;
            }
        }
    }
    return row == rows;
}

}  // namespace llama_steer::storage_test
