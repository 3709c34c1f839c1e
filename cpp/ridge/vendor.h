// What blas.cpp needs to know of the library behind it: its name and its thread setting.
#pragma once

#include <cstddef>
#include <string>

namespace llama_steer::ridge::vendor {

std::string name();
std::string detail();

/// Empty where nothing is to be said.
std::string notice();

/// The library's own choice at start; 0 where it does not tell.
std::size_t default_threads();
void apply_threads(std::size_t count);

}  // namespace llama_steer::ridge::vendor
