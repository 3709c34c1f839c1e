#pragma once

#include "bench/side.h"

#include <cstdint>
#include <functional>
#include <memory>
#include <string>

namespace llama_steer::bench {

/// What a side is measured for.
enum class side_role : uint8_t {
    other,
    control,    ///< does what the baseline does: what the measurement can tell
    in_place,   ///< ours, all layers x all rows: what the goals of capture are about
    reference,  ///< whose rows the others' are held against
};

using side_factory = std::function<std::unique_ptr<side>()>;

/// A side by name, and how one is made.
struct side_kind {
    std::string name;
    side_role role;
    side_factory make;
};

}  // namespace llama_steer::bench
