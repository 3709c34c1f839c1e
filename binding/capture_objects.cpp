#include "capture_objects.h"

#include "arguments.h"

namespace llama_steer {

storage::capture_description capture_description_argument(const Napi::Object & options) {
    storage::capture_description result;
    result.site = string_argument(options.Get("site"), "site");
    result.layers = int32_array_argument(options.Get("layers"), "layers");
    result.width = static_cast<uint64_t>(
        integer_argument(options.Get("width"), "width", 1, static_cast<int64_t>(storage::max_width)));
    result.type = boolean_argument(options.Get("half"), "half") ? element_type::f16 : element_type::f32;
    const Napi::Object pairs = object_argument(options.Get("metadata"), "metadata");
    if (!pairs.IsArray() || pairs.As<Napi::Array>().Length() % 2 != 0) {
        throw_wrong_type("metadata", "keys and values in turn");
    }
    for (uint32_t i = 0; i < pairs.As<Napi::Array>().Length(); i += 2) {
        result.metadata.emplace_back(string_argument(pairs.Get(i), "a key of metadata"),
                                     string_argument(pairs.Get(i + 1), "a value of metadata"));
    }
    return result;
}

Napi::Object capture_description_object(Napi::Env env, const storage::capture_description & source) {
    Napi::Object result = Napi::Object::New(env);
    result.Set("site", source.site);
    Napi::Array layers = Napi::Array::New(env, source.layers.size());
    for (uint32_t i = 0; i < source.layers.size(); ++i) {
        layers.Set(i, source.layers[i]);
    }
    result.Set("layers", layers);
    result.Set("width", static_cast<double>(source.width));
    result.Set("type", storage::element_name(source.type));
    Napi::Array metadata = Napi::Array::New(env);
    for (const auto & [key, value] : source.metadata) {
        metadata.Set(metadata.Length(), key);
        metadata.Set(metadata.Length(), value);
    }
    result.Set("metadata", metadata);
    return result;
}

}  // namespace llama_steer
