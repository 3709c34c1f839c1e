#include "intervention_arguments.h"

#include "arguments.h"
#include "directions_wrap.h"
#include "errors.h"
#include "intervention_wrap.h"
#include "requests.h"
#include "schedule_argument.h"
#include "steering/site_id.h"

#include <cmath>
#include <limits>
#include <string>

namespace llama_steer {

namespace {

vector_rows vector_argument(const Napi::Value & value, const char * name) {
    const Napi::Object source = object_argument(value, name);
    const float_memory data = float32_array_argument(source.Get("data"), "data");
    vector_rows rows;
    rows.layers = int32_array_argument(source.Get("layers"), "layers");
    rows.data = data.data;
    const size_t n_layers = rows.layers.size();
    if (n_layers == 0 || data.length == 0 || data.length % n_layers != 0) {
        throw error(error_code::WIDTH_MISMATCH, "data holds " + std::to_string(data.length) +
                                                    " floats, which is no multiple of " + std::to_string(n_layers) +
                                                    " layers");
    }
    rows.width = static_cast<int64_t>(data.length / n_layers);
    if (!source.Get("norms").IsUndefined()) {
        const float_memory norms = float32_array_argument(source.Get("norms"), "norms");
        if (norms.length != n_layers) {
            throw_invalid("norms must hold one number for each layer");
        }
        rows.norms = norms.data;
    }
    return rows;
}

std::vector<vector_rows> vectors_argument(const Napi::Value & value, const char * name) {
    std::vector<vector_rows> vectors;
    if (!value.IsUndefined()) {
        const Napi::Array array = list_argument(value, name);
        for (uint32_t i = 0; i < array.Length(); ++i) {
            vectors.push_back(vector_argument(array.Get(i), name));
        }
    }
    return vectors;
}

template <typename enumeration>
enumeration enum_argument(const Napi::Value & value, const char * name, enumeration last) {
    return static_cast<enumeration>(integer_argument(value, name, 0, static_cast<int64_t>(last)));
}

std::shared_ptr<const condition> condition_argument(const Napi::Value & value, int depth = 0) {
    if (depth > static_cast<int>(condition::max_probes)) {
        throw_invalid("when is nested too deeply");
    }
    const Napi::Object source = object_argument(value, "when");
    const auto rule = enum_argument(source.Get("rule"), "when", condition::rule::negate);
    if (rule != condition::rule::probe) {
        std::vector<std::shared_ptr<const condition>> parts;
        const Napi::Array array = list_argument(source.Get("parts"), "when");
        for (uint32_t i = 0; i < array.Length(); ++i) {
            parts.push_back(condition_argument(array.Get(i), depth + 1));
        }
        return std::make_shared<const condition>(rule, std::move(parts));
    }
    condition_probe probe;
    probe.site = site_id(string_argument(source.Get("site"), "site"));
    probe.layer = static_cast<int>(integer_argument(source.Get("layer"), "layer", 0, INT32_MAX));
    probe.direction = unwrap_argument<directions_wrap>(source.Get("directions"), "vector")->get();
    probe.measure = enum_argument(source.Get("measure"), "measure", condition_measure::projection);
    probe.latch = enum_argument(source.Get("latch"), "decide", condition_latch::prompt_any);
    probe.above = boolean_argument(source.Get("above"), "compare");
    probe.threshold = static_cast<float>(number_argument(source.Get("threshold"), "threshold"));
    return std::make_shared<const condition>(std::move(probe));
}

/// A bound may be open.
float bound_argument(const Napi::Value & value, const char * name, float open) {
    if (value.IsUndefined()) {
        return open;
    }
    const auto bound = static_cast<float>(number_argument(value, name));
    if (!std::isfinite(bound)) {
        throw error(error_code::NOT_FINITE, std::string(name) + " must be finite as a 32-bit float");
    }
    return bound;
}

}  // namespace

std::shared_ptr<const direction_set> directions_argument(const Napi::Value & value, int n_layers) {
    const Napi::Object source = object_argument(value, "directions");
    direction_request request;
    request.kind = enum_argument(source.Get("operation"), "operation", operation::observe);
    request.norm_units = boolean_argument(source.Get("normUnits"), "unit");
    request.vectors = vectors_argument(source.Get("vectors"), "vectors");
    request.up = vectors_argument(source.Get("up"), "up");
    request.bias = vectors_argument(source.Get("bias"), "bias");
    return std::make_shared<const direction_set>(request, n_layers);
}

intervention_numbers numbers_argument(const Napi::Value & value) {
    constexpr float infinity = std::numeric_limits<float>::infinity();
    const Napi::Object source = object_argument(value, "numbers");
    const Napi::Value strength = source.Get("strength");
    intervention_numbers numbers;
    if (strength.IsNumber()) {
        const auto constant = static_cast<float>(number_argument(strength, "strength"));
        if (!std::isfinite(constant)) {
            throw error(error_code::NOT_FINITE, "strength must be finite as a 32-bit float");
        }
        numbers.strength = schedule::constant(static_cast<double>(constant));
    } else {
        numbers.strength = schedule_argument(strength, "strength");
    }
    numbers.low = bound_argument(source.Get("low"), "low", -infinity);
    numbers.high = bound_argument(source.Get("high"), "high", infinity);
    return numbers;
}

intervention_request intervention_argument(const Napi::Value & value) {
    const Napi::Object source = object_argument(value, "an intervention");
    intervention_request request;
    request.site = site_id(string_argument(source.Get("site"), "site"));
    request.directions = unwrap_argument<directions_wrap>(source.Get("directions"), "vector")->get();
    request.tokens = selection_argument(source.Get("tokens"), "tokens");
    if (!source.Get("when").IsUndefined()) {
        request.when = condition_argument(source.Get("when"));
    }
    request.preserve_norm = boolean_argument(source.Get("preserveNorm"), "preserveNorm");
    request.live = boolean_argument(source.Get("live"), "live");
    request.numbers = numbers_argument(source.Get("numbers"));
    return request;
}

std::shared_ptr<const steering_list> steering_argument(const Napi::Value & value) {
    const Napi::Array array = list_argument(value, "steering");
    auto list = std::make_shared<steering_list>();
    for (uint32_t i = 0; i < array.Length(); ++i) {
        list->push_back(unwrap_argument<intervention_wrap>(array.Get(i), "an intervention")->get());
    }
    return list->empty() ? nullptr : list;
}

}  // namespace llama_steer
