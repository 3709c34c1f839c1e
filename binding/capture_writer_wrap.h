#pragma once

#include "background_queue.h"
#include "storage/capture_file_writer.h"

#include <napi.h>

#include <memory>

namespace llama_steer {

/// `NativeCaptureWriter`: a capture file being written. Made by `openCaptureWriter` only. Appends and the close run in
/// the order they were called in, on a background thread.
class capture_writer_wrap : public Napi::ObjectWrap<capture_writer_wrap> {
public:
    static constexpr const char * class_name = "a capture file's writer";
    static const napi_type_tag type_tag;

    static Napi::Function define(Napi::Env env);
    /// openCaptureWriter(directory, { site, layers: Int32Array, width, half: boolean, metadata: [key, value, ...],
    /// shardBytes?, append, recover, durable }) -> { promise, cancel() }; cancel does nothing.
    static Napi::Value open(const Napi::CallbackInfo & info);

    explicit capture_writer_wrap(const Napi::CallbackInfo & info);

private:
    Napi::Value describe(const Napi::CallbackInfo & info);
    Napi::Value rows(const Napi::CallbackInfo & info);
    Napi::Value append(const Napi::CallbackInfo & info);
    Napi::Value close(const Napi::CallbackInfo & info);

    std::shared_ptr<storage::capture_file_writer> writer_;
    std::shared_ptr<background_queue> queue_;
};

}  // namespace llama_steer
