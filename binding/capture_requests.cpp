#include "arguments.h"
#include "errors.h"
#include "requests.h"

#include <algorithm>

namespace llama_steer {

namespace {

/// Elements in a row of `site`, the same at all `layers`.
int64_t width_of(const std::string & site, const std::vector<int32_t> & layers, const model & source) {
    const auto found = source.sites().find(site);
    if (found == source.sites().end()) {
        throw error(error_code::SITE_UNKNOWN, "this model has no site " + site + ": see model.sites()");
    }
    int64_t width = 0;
    for (const int32_t layer : layers) {
        const auto shape = found->second.find(layer);
        if (shape == found->second.end()) {
            throw error(error_code::LAYER_OUT_OF_RANGE, "layer " + std::to_string(layer) + " has no site " + site);
        }
        if (width != 0 && shape->second.width != width) {
            throw error(error_code::WIDTH_MISMATCH,
                        "rows of " + site + " have " + std::to_string(width) + " elements at layer " +
                            std::to_string(layers.front()) + " and " + std::to_string(shape->second.width) +
                            " at layer " + std::to_string(layer) + ": capture layers of different widths separately");
        }
        width = shape->second.width;
    }
    return width;
}

capture_destination destination_argument(const Napi::Object & source, int64_t n_layers, int64_t width) {
    capture_destination destination;
    destination.width = width;
    const bool half = boolean_argument(source.Get("half"), "type");
    const array_memory memory =
        half ? array_argument(source.Get("into"), "into", "a Uint16Array", {napi_uint16_array})
             : array_argument(source.Get("into"), "into", "a Float32Array", {napi_float32_array});
    destination.type = half ? element_type::f16 : element_type::f32;
    destination.data = memory.data;
    destination.capacity = static_cast<int64_t>(memory.length) / n_layers / width;
    if (destination.capacity < 1) {
        throw error(error_code::BUFFER_TOO_SMALL, "into holds " + std::to_string(memory.length) +
                                                      " elements; one row of " + std::to_string(n_layers) +
                                                      " layers takes " + std::to_string(n_layers * width));
    }
    return destination;
}

}  // namespace

token_selection selection_argument(const Napi::Value & value, const char * name) {
    const Napi::Object source = object_argument(value, name);
    token_selection selection(static_cast<token_scope>(
        integer_argument(source.Get("scope"), name, 0, static_cast<int64_t>(token_scope::between))));
    if (selection.scope == token_scope::positions) {
        selection.positions = int32_array_argument(source.Get("positions"), name);
        if (selection.positions.empty()) {
            throw_invalid(std::string(name) + " selects no position");
        }
    }
    if (selection.scope == token_scope::between) {
        selection.open = int32_array_argument(source.Get("open"), name);
        selection.close = int32_array_argument(source.Get("close"), name);
        selection.with_markers = boolean_argument(source.Get("withMarkers"), name);
        selection.required = optional_property(
            source, "required", false, [name](const Napi::Value & each) { return boolean_argument(each, name); });
        if (selection.open.empty() || selection.close.empty()) {
            throw_invalid(std::string(name) + ": a marker must be at least one token");
        }
    }
    return selection;
}

tap_request capture_argument(const Napi::Value & value, const model & source) {
    const Napi::Object given = object_argument(value, "capture");
    tap_request request;
    request.site = string_argument(given.Get("site"), "site");
    request.layers = int32_array_argument(given.Get("layers"), "layers");
    request.rows = selection_argument(given.Get("rows"), "rows");
    if (request.layers.empty()) {
        throw_invalid("a capture needs at least one layer");
    }
    const int64_t width = width_of(request.site, request.layers, source);
    request.destination = destination_argument(given, static_cast<int64_t>(request.layers.size()), width);
    return request;
}

}  // namespace llama_steer
