#pragma once

#include "base/error.h"
#include "model/model.h"

#include <napi.h>

namespace llama_steer {

/// Looks the sites up on this thread, so that nobody waits for it on the JavaScript thread. Why they cannot be had is
/// said when they are asked for.
inline void look_up_sites(const model & source) {
    try {
        source.sites();
    } catch (const error &) {
    }
}

/// { [site]: { layers: number[], widths: number[], heads: number[] } }, one entry per layer; heads are 0 where a row is
/// not made of heads.
inline Napi::Value sites_object(Napi::Env env, const site_table & table) {
    Napi::Object result = Napi::Object::New(env);
    for (const auto & [name, shapes] : table) {
        Napi::Array layers = Napi::Array::New(env);
        Napi::Array widths = Napi::Array::New(env);
        Napi::Array heads = Napi::Array::New(env);
        for (const auto & [layer, shape] : shapes) {
            layers.Set(layers.Length(), layer);
            widths.Set(widths.Length(), static_cast<double>(shape.width));
            heads.Set(heads.Length(), shape.heads);
        }
        Napi::Object site = Napi::Object::New(env);
        site.Set("layers", layers);
        site.Set("widths", widths);
        site.Set("heads", heads);
        result.Set(name, site);
    }
    return result;
}

}  // namespace llama_steer
