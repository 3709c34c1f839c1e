#pragma once

#include "engine/requests.h"

#include <napi.h>

namespace llama_steer {

/// { id, full: Int32Array, cut: Int32Array, isCut: boolean[] }: labels as triples (sequence, position, token) of the
/// rows of a complete layer, and of a layer that computes output rows only; which holds for each captured layer.
inline Napi::Object labels_object(Napi::Env env, int32_t id, const capture_labels & labels) {
    static_assert(sizeof(row_label) == 3 * sizeof(int32_t), "labels are copied as triples");
    const auto triples = [&](const std::vector<row_label> & rows) {
        Napi::Int32Array array = Napi::Int32Array::New(env, rows.size() * 3);
        std::copy_n(reinterpret_cast<const int32_t *>(rows.data()), rows.size() * 3, array.Data());
        return array;
    };
    Napi::Array is_cut = Napi::Array::New(env, labels.is_cut.size());
    for (uint32_t i = 0; i < labels.is_cut.size(); ++i) {
        is_cut.Set(i, static_cast<bool>(labels.is_cut[i]));
    }
    Napi::Object result = Napi::Object::New(env);
    result.Set("id", id);
    result.Set("full", triples(labels.full));
    result.Set("cut", triples(labels.cut));
    result.Set("isCut", is_cut);
    return result;
}

}  // namespace llama_steer
