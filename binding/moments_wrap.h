#pragma once

#include "background_queue.h"
#include "ridge/moments_accumulator.h"

#include <napi.h>

#include <memory>
#include <vector>

namespace llama_steer {

/// `NativeMoments`: a moments accumulator and the queue of what is added to it. Made by the functions below only.
/// Layers are counted as in shape().layers. All methods but add, addFile and dispose throw while something is being
/// added.
class moments_wrap : public Napi::ObjectWrap<moments_wrap> {
public:
    static constexpr const char * class_name = "a MomentsAccumulator";
    static const napi_type_tag type_tag;

    static Napi::Function define(Napi::Env env);
    /// createMoments({ layers: Int32Array, width, groups, secondMoment: 0 none | 1 diagonal | 2 full }) ->
    /// NativeMoments
    static Napi::Value create(const Napi::CallbackInfo & info);
    /// momentsFromBytes(Uint8Array) -> NativeMoments
    static Napi::Value from_bytes(const Napi::CallbackInfo & info);
    /// momentsBytes(options of createMoments) -> number
    static Napi::Value bytes_needed(const Napi::CallbackInfo & info);

    explicit moments_wrap(const Napi::CallbackInfo & info);
    /// Takes the bytes off the collector's account where it was not disposed.
    void Finalize(Napi::Env env) override;

    /// The accumulator where nothing works on it. Throws DISPOSED, INVALID_ARGUMENT.
    ridge::moments_accumulator & idle() const;

private:
    Napi::Value shape(const Napi::CallbackInfo & info);
    Napi::Value add(const Napi::CallbackInfo & info);
    Napi::Value add_file(const Napi::CallbackInfo & info);
    Napi::Value sums(const Napi::CallbackInfo & info);
    Napi::Value mean(const Napi::CallbackInfo & info);
    Napi::Value variance(const Napi::CallbackInfo & info);
    Napi::Value covariance(const Napi::CallbackInfo & info);
    Napi::Value merge(const Napi::CallbackInfo & info);
    Napi::Value byte_count(const Napi::CallbackInfo & info);
    Napi::Value write(const Napi::CallbackInfo & info);
    Napi::Value dispose(const Napi::CallbackInfo & info);

    /// The accumulator; throws DISPOSED.
    const std::shared_ptr<ridge::moments_accumulator> & get() const;
    void release(Napi::Env env);
    /// Queues a job and returns its task; `kept` stays alive until it has settled.
    Napi::Value push(Napi::Env env, const std::vector<Napi::Value> & kept, background_queue::work job);

    std::shared_ptr<ridge::moments_accumulator> accumulator_;
    std::shared_ptr<background_queue> queue_;
};

}  // namespace llama_steer
