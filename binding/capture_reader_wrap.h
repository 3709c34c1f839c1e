#pragma once

#include "storage/capture_file_reader.h"

#include <napi.h>

#include <memory>

namespace llama_steer {

/// `NativeCaptureReader`: a capture file opened for reading. Made by `openCaptureReader` only.
class capture_reader_wrap : public Napi::ObjectWrap<capture_reader_wrap> {
public:
    static constexpr const char * class_name = "a capture file";
    static const napi_type_tag type_tag;

    static Napi::Function define(Napi::Env env);
    /// openCaptureReader(directory, recover) -> { promise, cancel() }; cancel does nothing.
    static Napi::Value open(const Napi::CallbackInfo & info);

    explicit capture_reader_wrap(const Napi::CallbackInfo & info);

    /// The file, for native consumers; throws DISPOSED.
    const std::shared_ptr<const storage::capture_file_reader> & get() const;

private:
    Napi::Value describe(const Napi::CallbackInfo & info);
    Napi::Value labels(const Napi::CallbackInfo & info);
    Napi::Value read(const Napi::CallbackInfo & info);
    Napi::Value verify(const Napi::CallbackInfo & info);
    Napi::Value dispose(const Napi::CallbackInfo & info);

    std::shared_ptr<const storage::capture_file_reader> reader_;
};

}  // namespace llama_steer
