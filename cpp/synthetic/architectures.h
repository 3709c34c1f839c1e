#pragma once

#include "synthetic/model_shape.h"
#include "synthetic/tensor_spec.h"

#include <vector>

struct gguf_context;

namespace llama_steer::synthetic {

/// Writes the metadata that llama.cpp reads for the shape's architecture. `shape` is completed.
void write_hyperparameters(gguf_context * file, const model_shape & shape);

/// The tensors of the architecture in file order. Weights have a deviation of 1 / sqrt(inputs), so that a normalized
/// input gives an output of the same size; norms lie near 1; token embeddings enter the residual stream with a
/// deviation of 1. `shape` is completed.
std::vector<tensor_spec> list_tensors(const model_shape & shape);

}  // namespace llama_steer::synthetic
