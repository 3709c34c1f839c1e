#pragma once

#include <string>
#include <vector>

namespace llama_steer {

/// llama.cpp's node name for a public site name: `residual` is `l_out` (the block's output, shape [hidden size,
/// tokens]). A name that is no public site is taken as a raw node name.
std::string node_name_of_site(const std::string & site);

/// A node of a compute graph named `<name>-<layer>`, as llama.cpp's graph callback names them.
struct site_name {
    std::string name;
    int layer = -1;  ///< -1 where the node belongs to no layer
};

/// Splits a tensor's name. Suffixes that ggml appends (" (view)", " (reshaped)"...) make it another node: layer is -1.
site_name parse_site_name(const char * tensor_name);

}  // namespace llama_steer
