#pragma once

#include "synthetic/model_shape.h"

#include <string>
#include <vector>

namespace llama_steer::synthetic {

/// "tiny" (float32, under 2 MB, for tests), and shapes of usual sizes in Q4_0 for benchmarks.
const std::vector<std::string> & preset_names();

/// A preset's shape in an architecture. Throws INVALID_ARGUMENT for names that do not exist.
model_shape preset(const std::string & name, const std::string & architecture);

}  // namespace llama_steer::synthetic
