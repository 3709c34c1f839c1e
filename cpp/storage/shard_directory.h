// The files of a capture: `activations-00000.safetensors`, `activations-00001.safetensors`... in one directory.
#pragma once

#include <cstdint>
#include <filesystem>
#include <vector>

namespace llama_steer::storage {

std::filesystem::path shard_path(const std::filesystem::path & directory, uint32_t shard);

/// Where a shard is made before it takes its name. Readers ignore it.
std::filesystem::path unpublished_path(const std::filesystem::path & shard);

/// The most shards a capture has.
constexpr uint32_t max_shards = 100000;

/// How many shards there are. Throws FILE_NOT_FOUND, FILE_UNREADABLE (no directory); DATA_DAMAGED where their numbers
/// leave gaps.
uint32_t count_shards(const std::filesystem::path & directory);

/// Makes the directory, and those above it. Throws FILE_WRITE_FAILED.
void make_directory(const std::filesystem::path & directory);

/// Removes what an interrupted writer left unpublished.
void remove_unpublished(const std::filesystem::path & directory);

/// Gives a file its name, in one step, in place of what had it. Throws FILE_WRITE_FAILED.
void publish(const std::filesystem::path & from, const std::filesystem::path & to);

/// Returns once the names in the directory lie on the disk.
void sync_directory(const std::filesystem::path & directory);

}  // namespace llama_steer::storage
