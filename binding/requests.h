#pragma once

#include "engine/requests.h"
#include "model/context.h"

#include <napi.h>

namespace llama_steer {

// From what the TypeScript layer passes to the engine's requests. All throw llama_steer::error.

/// { sequences?, contextSize?, memoryTokens?, batchSize?, threads?, unifiedMemory?, memoryType?: "f16" | "f32",
/// flashAttention? }
context_options context_arguments(const Napi::Value & value);

/// [{ sequence, tokens: Int32Array, generated, endsPrompt, logits: 0 none | 1 last | 2 all }]
std::vector<evaluate_entry> evaluate_entries(const Napi::Value & value, int32_t n_sequences);

/// { maxTokens, temperature?, topK?, topP?, minP?, repeatPenalty?, repeatLast?, seed?, stopTokens?: Int32Array,
///   stop?: string[], grammar?: string, grammarRoot?: string, biasTokens?: Int32Array, biasValues?: Float32Array,
///   capture?: as for capture_argument }
generate_request generate_arguments(int32_t sequence, const Napi::Value & prompt, const Napi::Value & options,
                                    const model & source);

/// { scope: number as in token_scope, positions?: Int32Array, open?: Int32Array, close?: Int32Array, withMarkers? }
token_selection selection_argument(const Napi::Value & value, const char * name);

/// A tap from { site, layers: Int32Array, rows: a selection, half: boolean, into: Float32Array, or Uint16Array for
/// half }, checked against what `source` offers. Borrows the memory of `into`. Throws SITE_UNKNOWN, LAYER_OUT_OF_RANGE,
/// WIDTH_MISMATCH, BUFFER_TOO_SMALL, BUFFER_DETACHED.
tap_request capture_argument(const Napi::Value & value, const model & source);

}  // namespace llama_steer
