#pragma once

#include <string>

namespace llama_steer {

/// A node of a compute graph named `<name>-<layer>`, as llama.cpp's graph callback names them.
struct site_name {
    std::string name;
    int layer = -1;  ///< -1 where the node belongs to no layer
};

/// Splits a tensor's name. Suffixes that ggml appends (" (view)", " (reshaped)"...) make it another node: layer is -1.
site_name parse_site_name(const char * tensor_name);

}  // namespace llama_steer
