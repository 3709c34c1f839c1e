#pragma once

#include "model/model.h"

#include <napi.h>

#include <memory>

namespace llama_steer {

/// `NativeModel`: a loaded model and its tokenizer. Made by `loadModel` only.
class model_wrap : public Napi::ObjectWrap<model_wrap> {
public:
    static constexpr const char * class_name = "a model";
    static const napi_type_tag type_tag;

    static Napi::Function define(Napi::Env env);
    /// loadModel(path, { gpuLayers? }, onProgress?) -> { promise, cancel() }
    static Napi::Value load(const Napi::CallbackInfo & info);

    explicit model_wrap(const Napi::CallbackInfo & info);
    /// Takes the model's bytes off the collector's account where it was not disposed.
    void Finalize(Napi::Env env) override;

    /// The model; throws DISPOSED.
    const std::shared_ptr<const model> & get() const;

private:
    Napi::Value info(const Napi::CallbackInfo & info);
    Napi::Value metadata(const Napi::CallbackInfo & info);
    Napi::Value sites(const Napi::CallbackInfo & info);
    Napi::Value tokenize(const Napi::CallbackInfo & info);
    Napi::Value token_bytes(const Napi::CallbackInfo & info);
    Napi::Value is_end_of_generation(const Napi::CallbackInfo & info);
    Napi::Value create_directions(const Napi::CallbackInfo & info);
    Napi::Value create_intervention(const Napi::CallbackInfo & info);
    Napi::Value create_context(const Napi::CallbackInfo & info);
    Napi::Value dispose(const Napi::CallbackInfo & info);
    void release(Napi::Env env);

    std::shared_ptr<const model> model_;
};

}  // namespace llama_steer
