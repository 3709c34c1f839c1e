#pragma once

#include "synthetic/model_shape.h"

#include <cstdint>
#include <string>

namespace llama_steer::synthetic {

struct model_file_info {
    int64_t tensors = 0;
    int64_t parameters = 0;
    uint64_t bytes = 0;  ///< of the file
};

/// Writes a GGUF model of random weights that llama.cpp loads and runs. The file is streamed: memory stays at a few
/// megabytes whatever its size. The same shape gives the same bytes on every machine. Throws INVALID_ARGUMENT for a
/// shape that cannot be (see `completed`), FILE_UNREADABLE where the file cannot be written; nothing is left behind
/// then.
model_file_info write_model(const model_shape & shape, const std::string & path);

}  // namespace llama_steer::synthetic
