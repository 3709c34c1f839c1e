#pragma once

#include <string>

namespace llama_steer {

/// Prepares llama.cpp once per process: log, backends. `directory` is where run-time loadable backends lie (the folder
/// of the addon in a prebuilt package); empty where they are linked in. Thread-safe; the first call decides.
void init_backend(const std::string & directory);

}  // namespace llama_steer
