#pragma once

#include "arguments.h"
#include "storage/capture_description.h"

#include <napi.h>

#include <functional>
#include <vector>

namespace llama_steer {

/// Elements of activations as a native thread reads them: a Float32Array, or a Uint16Array with the bits of halves.
/// Shared memory is borrowed, so that its owner must be kept; an ArrayBuffer could be transferred away by the caller
/// meanwhile, so that what lies on one is copied.
struct elements_argument {
    element_type type = element_type::f32;
    size_t length = 0;
    const std::byte * data = nullptr;

    /// `may_copy` is told how many bytes are to be copied before they are, and throws where they must not be.
    elements_argument(const Napi::Value & value, const char * name,
                      const std::function<void(const elements_argument &, size_t)> & may_copy = {});
    elements_argument(const elements_argument &) = delete;
    elements_argument & operator=(const elements_argument &) = delete;

private:
    std::vector<std::byte> copy_;
};

}  // namespace llama_steer
