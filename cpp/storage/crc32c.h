// CRC-32C (Castagnoli, polynomial 0x1EDC6F41, reflected; RFC 3720 appendix B.4): with the processor's instruction where
// it has one, which is asked at run time, else with tables.
#pragma once

#include <cstddef>
#include <cstdint>

namespace llama_steer::storage {

/// The checksum of `size` bytes; `before` is that of the bytes before them, so that parts give the checksum of the
/// whole.
uint32_t crc32c(const void * data, size_t size, uint32_t before = 0);

/// The checksums of `rows` rows of `row_bytes` each, which lie one after the other. Several rows are under way at once,
/// which hides the instruction's latency: about three times as fast as row by row.
void crc32c_rows(const void * data, size_t row_bytes, size_t rows, uint32_t * checksums);

/// The same without the instruction; for tests.
uint32_t crc32c_portable(const void * data, size_t size, uint32_t before = 0);

}  // namespace llama_steer::storage
