#include "capture_reader_wrap.h"

#include "arguments.h"
#include "capture_objects.h"
#include "errors.h"
#include "instance.h"
#include "storage/system_error.h"
#include "task.h"

#include <algorithm>
#include <atomic>

namespace llama_steer {

namespace {

using shared_reader = std::shared_ptr<const storage::capture_file_reader>;

Napi::Int32Array label_column(Napi::Env env, const storage::capture_file_reader & reader, size_t column) {
    Napi::Int32Array result = Napi::Int32Array::New(env, static_cast<size_t>(reader.rows()));
    int32_t * at = result.Data();
    for (size_t i = 0; i < reader.shards(); ++i) {
        const std::vector<int32_t> & labels = reader.shard(i).labels()[column];
        at = std::copy(labels.begin(), labels.end(), at);
    }
    return result;
}

std::vector<size_t> slots_argument(const Napi::Value & value) {
    const std::vector<int32_t> slots = int32_array_argument(value, "slots");
    if (std::any_of(slots.begin(), slots.end(), [](int32_t slot) { return slot < 0; })) {
        throw_invalid("slots must not be negative");
    }
    return {slots.begin(), slots.end()};
}

}  // namespace

const napi_type_tag capture_reader_wrap::type_tag = {0x6c6c616d61737465, 0x65722e6372656164};

Napi::Function capture_reader_wrap::define(Napi::Env env) {
    return DefineClass(env, "NativeCaptureReader",
                       {
                           InstanceMethod<&capture_reader_wrap::describe>("describe"),
                           InstanceMethod<&capture_reader_wrap::labels>("labels"),
                           InstanceMethod<&capture_reader_wrap::read>("read"),
                           InstanceMethod<&capture_reader_wrap::verify>("verify"),
                           InstanceMethod<&capture_reader_wrap::dispose>("dispose"),
                       });
}

Napi::Value capture_reader_wrap::open(const Napi::CallbackInfo & info) {
    const Napi::Env env = info.Env();
    return guarded(env, [&]() -> Napi::Value {
        const std::filesystem::path directory = storage::path_of(string_argument(info[0], "directory"), "directory");
        const bool recover = boolean_argument(info[1], "recover");
        instance & self = instance::of(env);
        const dispatcher::ticket id = self.events.begin(env, {});
        auto cancelled = std::make_shared<std::atomic<bool>>(false);
        self.run_in_background(id, cancelled, [directory, recover]() -> instance::finisher {
            shared_reader reader = std::make_shared<const storage::capture_file_reader>(directory, recover);
            return [reader](Napi::Env current) mutable -> Napi::Value {
                return instance::of(current).capture_reader_class.New(
                    {Napi::External<shared_reader>::New(current, &reader)});
            };
        });
        return make_task(env, id, [] {});
    });
}

capture_reader_wrap::capture_reader_wrap(const Napi::CallbackInfo & info) : ObjectWrap(info) {
    if (info.Length() != 1 || !info[0].IsExternal()) {
        throw Napi::TypeError::New(info.Env(), "capture files are opened by openCaptureReader");
    }
    reader_ = *info[0].As<Napi::External<shared_reader>>().Data();
    info.This().As<Napi::Object>().TypeTag(&type_tag);
}

const shared_reader & capture_reader_wrap::get() const {
    if (!reader_) {
        throw error(error_code::DISPOSED, "the capture file was disposed");
    }
    return reader_;
}

Napi::Value capture_reader_wrap::describe(const Napi::CallbackInfo & info) {
    return guarded(info.Env(), [&]() -> Napi::Value {
        Napi::Object result = capture_description_object(info.Env(), get()->description());
        result.Set("rows", static_cast<double>(get()->rows()));
        result.Set("complete", get()->complete());
        return result;
    });
}

Napi::Value capture_reader_wrap::labels(const Napi::CallbackInfo & info) {
    return guarded(info.Env(), [&]() -> Napi::Value {
        Napi::Object result = Napi::Object::New(info.Env());
        for (size_t column = 0; column < storage::label_columns.size(); ++column) {
            result.Set(storage::label_columns[column], label_column(info.Env(), *get(), column));
        }
        return result;
    });
}

/// read(slots: Int32Array, from, count, into: Float32Array | Uint16Array) -> { promise, cancel() }; `into` is
/// [slots][count][width], halves only from a file of halves, and must be kept from other uses until the promise
/// settles.
Napi::Value capture_reader_wrap::read(const Napi::CallbackInfo & info) {
    const Napi::Env env = info.Env();
    return guarded(env, [&]() -> Napi::Value {
        const shared_reader & reader = get();
        const std::vector<size_t> slots = slots_argument(info[0]);
        const auto rows = static_cast<int64_t>(reader->rows());
        const auto from = static_cast<uint64_t>(integer_argument(info[1], "from", 0, rows));
        const auto count = static_cast<size_t>(integer_argument(info[2], "count", 0, rows));
        const array_memory into = array_argument(info[3], "into", "a Float32Array, or a Uint16Array for half floats",
                                                 {napi_float32_array, napi_uint16_array});
        const element_type as = into.type == napi_float32_array ? element_type::f32 : element_type::f16;
        const uint64_t needed = slots.size() * count * reader->description().width;
        if (into.length < needed) {
            throw error(error_code::BUFFER_TOO_SMALL, "into holds " + std::to_string(into.length) +
                                                          " elements; these rows take " + std::to_string(needed));
        }
        instance & self = instance::of(env);
        const dispatcher::ticket id = self.events.begin(env, {info[3]});
        auto cancelled = std::make_shared<std::atomic<bool>>(false);
        self.run_in_background(
            id, cancelled, [reader, slots, from, count, as, data = into.data, cancelled]() -> instance::finisher {
                reader->copy(slots, from, count, as, data, [cancelled] { return cancelled->load(); });
                return [](Napi::Env current) { return current.Undefined(); };
            });
        return make_task(env, id, [cancelled] { cancelled->store(true); });
    });
}

/// verify(onProgress?) -> { promise, cancel() }
Napi::Value capture_reader_wrap::verify(const Napi::CallbackInfo & info) {
    const Napi::Env env = info.Env();
    return guarded(env, [&]() -> Napi::Value {
        const shared_reader & reader = get();
        check_progress(info[0]);
        instance & self = instance::of(env);
        const dispatcher::ticket id = self.events.begin(env, {info[0]});
        auto cancelled = std::make_shared<std::atomic<bool>>(false);
        self.run_in_background(id, cancelled, [reader, &self, id, cancelled]() -> instance::finisher {
            reader->verify([&](double fraction) { report_progress(self, id, fraction); },
                           [cancelled] { return cancelled->load(); });
            return [](Napi::Env current) { return current.Undefined(); };
        });
        return make_task(env, id, [cancelled] { cancelled->store(true); });
    });
}

Napi::Value capture_reader_wrap::dispose(const Napi::CallbackInfo & info) {
    reader_.reset();
    return info.Env().Undefined();
}

}  // namespace llama_steer
