#pragma once

#include "storage/capture_description.h"

#include <napi.h>

namespace llama_steer {

/// What a capture file holds, from { site, layers: Int32Array, width, half: boolean, metadata: [key, value, ...] }.
storage::capture_description capture_description_argument(const Napi::Object & options);

/// { site, layers: number[], width, type: "f32" | "f16", metadata: [key, value, ...] }
Napi::Object capture_description_object(Napi::Env env, const storage::capture_description & source);

}  // namespace llama_steer
