#include "moments_wrap.h"

#include "arguments.h"
#include "errors.h"
#include "fold_arguments.h"
#include "instance.h"
#include "ridge/blas.h"
#include "ridge/moments_bytes.h"
#include "task.h"

#include <algorithm>
#include <string>
#include <utility>

namespace llama_steer {

namespace {

using owned = std::shared_ptr<ridge::moments_accumulator>;

ridge::moments_shape shape_argument(const Napi::Value & value) {
    const Napi::Object options = object_argument(value, "options");
    ridge::moments_shape shape;
    shape.layers = int32_array_argument(options.Get("layers"), "layers");
    shape.width = static_cast<size_t>(integer_argument(options.Get("width"), "width", 1, ridge::largest_width));
    shape.groups = static_cast<size_t>(integer_argument(options.Get("groups"), "groups", 1, INT32_MAX));
    shape.second =
        static_cast<ridge::second_moment>(integer_argument(options.Get("secondMoment"), "secondMoment", 0, 2));
    return shape;
}

Napi::Value wrap(Napi::Env env, owned made) {
    return instance::of(env).moments_class.New({Napi::External<owned>::New(env, &made)});
}

/// Which cell the first two arguments name.
std::pair<size_t, size_t> cell_argument(const Napi::CallbackInfo & info, const ridge::moments_shape & shape) {
    const auto below = [](size_t count) { return static_cast<int64_t>(count) - 1; };
    const int64_t layer = integer_argument(info[0], "layer", 0, below(shape.layers.size()));
    return {static_cast<size_t>(layer),
            static_cast<size_t>(integer_argument(info[1], "group", 0, below(shape.groups)))};
}

double * output_argument(const Napi::Value & value, size_t count) {
    const array_memory memory = array_argument(value, "into", "a Float64Array", {napi_float64_array});
    if (memory.length < count) {
        throw error(error_code::BUFFER_TOO_SMALL, "into holds " + std::to_string(memory.length) + " numbers, and " +
                                                      std::to_string(count) + " must be written");
    }
    return static_cast<double *>(memory.data);
}

ridge::normalization normalization_argument(const Napi::Value & value) {
    return boolean_argument(value, "unbiased") ? ridge::normalization::unbiased : ridge::normalization::weight;
}

}  // namespace

const napi_type_tag moments_wrap::type_tag = {0x6c6c616d61737465, 0x65722e6d6f6d656e};

Napi::Function moments_wrap::define(Napi::Env env) {
    return DefineClass(env, "NativeMoments",
                       {
                           InstanceMethod<&moments_wrap::shape>("shape"),
                           InstanceMethod<&moments_wrap::add>("add"),
                           InstanceMethod<&moments_wrap::add_file>("addFile"),
                           InstanceMethod<&moments_wrap::sums>("sums"),
                           InstanceMethod<&moments_wrap::mean>("mean"),
                           InstanceMethod<&moments_wrap::variance>("variance"),
                           InstanceMethod<&moments_wrap::covariance>("covariance"),
                           InstanceMethod<&moments_wrap::merge>("merge"),
                           InstanceMethod<&moments_wrap::byte_count>("byteCount"),
                           InstanceMethod<&moments_wrap::write>("write"),
                           InstanceMethod<&moments_wrap::dispose>("dispose"),
                       });
}

Napi::Value moments_wrap::create(const Napi::CallbackInfo & info) {
    return guarded(info.Env(), [&] {
        return wrap(info.Env(), std::make_shared<ridge::moments_accumulator>(shape_argument(info[0])));
    });
}

Napi::Value moments_wrap::from_bytes(const Napi::CallbackInfo & info) {
    return guarded(info.Env(), [&] {
        const array_memory memory = array_argument(info[0], "bytes", "a Uint8Array", {napi_uint8_array});
        return wrap(info.Env(), std::make_shared<ridge::moments_accumulator>(
                                    ridge::read_moments(static_cast<const uint8_t *>(memory.data), memory.length)));
    });
}

Napi::Value moments_wrap::bytes_needed(const Napi::CallbackInfo & info) {
    return guarded(info.Env(), [&]() -> Napi::Value {
        return Napi::Number::New(info.Env(), static_cast<double>(shape_argument(info[0]).bytes()));
    });
}

moments_wrap::moments_wrap(const Napi::CallbackInfo & info) : ObjectWrap(info) {
    if (info.Length() != 1 || !info[0].IsExternal()) {
        throw Napi::TypeError::New(info.Env(), "moments are made by createMoments");
    }
    accumulator_ = *info[0].As<Napi::External<owned>>().Data();
    queue_ = std::make_shared<background_queue>();
    info.This().As<Napi::Object>().TypeTag(&type_tag);
    Napi::MemoryManagement::AdjustExternalMemory(info.Env(), static_cast<int64_t>(accumulator_->shape().bytes()));
}

void moments_wrap::Finalize(Napi::Env env) { release(env); }

void moments_wrap::release(Napi::Env env) {
    if (accumulator_) {
        Napi::MemoryManagement::AdjustExternalMemory(env, -static_cast<int64_t>(accumulator_->shape().bytes()));
        accumulator_.reset();
    }
}

const owned & moments_wrap::get() const {
    if (!accumulator_) {
        throw error(error_code::DISPOSED, "the moments were disposed of");
    }
    return accumulator_;
}

ridge::moments_accumulator & moments_wrap::idle() const {
    ridge::moments_accumulator & found = *get();
    if (queue_->busy()) {
        throw_invalid("rows are still being added to these moments: await what add() returned first");
    }
    return found;
}

Napi::Value moments_wrap::shape(const Napi::CallbackInfo & info) {
    return guarded(info.Env(), [&]() -> Napi::Value {
        const ridge::moments_shape & source = get()->shape();
        Napi::Int32Array layers = Napi::Int32Array::New(info.Env(), source.layers.size());
        std::copy(source.layers.begin(), source.layers.end(), layers.Data());
        Napi::Object result = Napi::Object::New(info.Env());
        result.Set("layers", layers);
        result.Set("width", static_cast<double>(source.width));
        result.Set("groups", static_cast<double>(source.groups));
        result.Set("secondMoment", static_cast<double>(source.second));
        result.Set("bytes", static_cast<double>(source.bytes()));
        return result;
    });
}

Napi::Value moments_wrap::push(Napi::Env env, const std::vector<Napi::Value> & kept, background_queue::work job) {
    const dispatcher::ticket id = instance::of(env).events.begin(env, kept);
    const Napi::Object task = make_task(env, id, [queue = queue_, env, id] { queue->cancel(env, id); });
    queue_->push(env, id, std::move(job),
                 [](Napi::Env current) -> Napi::Value { return Napi::String::New(current, ridge::take_notice()); });
    return task;
}

Napi::Value moments_wrap::add(const Napi::CallbackInfo & info) {
    return guarded(info.Env(), [&]() -> Napi::Value {
        const auto job = fold_job_of(get(), info[0], object_argument(info[1], "options"));
        return push(info.Env(), {info.This(), info[0]},
                    [job](const std::atomic<bool> & cancelled) { (*job)([&cancelled] { return cancelled.load(); }); });
    });
}

Napi::Value moments_wrap::add_file(const Napi::CallbackInfo & info) {
    return guarded(info.Env(), [&]() -> Napi::Value {
        const auto job = file_fold_job_of(get(), info[0], object_argument(info[1], "options"));
        return push(info.Env(), {info.This()},
                    [job](const std::atomic<bool> & cancelled) { (*job)([&cancelled] { return cancelled.load(); }); });
    });
}

Napi::Value moments_wrap::sums(const Napi::CallbackInfo & info) {
    return guarded(info.Env(), [&]() -> Napi::Value {
        const auto [layer, group] = cell_argument(info, get()->shape());
        const ridge::weight_sums found = idle().sums(layer, group);
        Napi::Object result = Napi::Object::New(info.Env());
        result.Set("count", static_cast<double>(found.count));
        result.Set("weight", found.weight);
        result.Set("effective", found.effective());
        return result;
    });
}

Napi::Value moments_wrap::mean(const Napi::CallbackInfo & info) {
    return guarded(info.Env(), [&]() -> Napi::Value {
        const auto [layer, group] = cell_argument(info, get()->shape());
        const size_t width = get()->shape().width;
        std::copy_n(idle().mean(layer, group), width, output_argument(info[2], width));
        return info[2];
    });
}

Napi::Value moments_wrap::variance(const Napi::CallbackInfo & info) {
    return guarded(info.Env(), [&]() -> Napi::Value {
        const auto [layer, group] = cell_argument(info, get()->shape());
        const ridge::normalization by = normalization_argument(info[3]);
        idle().variance(layer, group, by, output_argument(info[2], get()->shape().width));
        return info[2];
    });
}

Napi::Value moments_wrap::covariance(const Napi::CallbackInfo & info) {
    return guarded(info.Env(), [&]() -> Napi::Value {
        const auto [layer, group] = cell_argument(info, get()->shape());
        const ridge::normalization by = normalization_argument(info[3]);
        const ridge::moments_accumulator & source = idle();
        const size_t width = source.shape().width;
        const bool kept = source.shape().second == ridge::second_moment::full;
        source.covariance(layer, group, by, {kept ? output_argument(info[2], width * width) : nullptr, width, width});
        return info[2];
    });
}

Napi::Value moments_wrap::merge(const Napi::CallbackInfo & info) {
    return guarded(info.Env(), [&]() -> Napi::Value {
        const moments_wrap * other = unwrap_argument<moments_wrap>(info[0], "other");
        idle().merge(other->idle());
        return info.Env().Undefined();
    });
}

Napi::Value moments_wrap::byte_count(const Napi::CallbackInfo & info) {
    return guarded(info.Env(), [&]() -> Napi::Value {
        return Napi::Number::New(info.Env(), static_cast<double>(ridge::moments_byte_count(idle().shape())));
    });
}

Napi::Value moments_wrap::write(const Napi::CallbackInfo & info) {
    return guarded(info.Env(), [&]() -> Napi::Value {
        const array_memory memory = array_argument(info[0], "into", "a Uint8Array", {napi_uint8_array});
        if (memory.length < ridge::moments_byte_count(idle().shape())) {
            throw error(error_code::BUFFER_TOO_SMALL, "into is shorter than the moments' bytes");
        }
        ridge::write_moments(idle(), static_cast<uint8_t *>(memory.data));
        return info[0];
    });
}

Napi::Value moments_wrap::dispose(const Napi::CallbackInfo & info) {
    queue_->close(info.Env());
    release(info.Env());
    return info.Env().Undefined();
}

}  // namespace llama_steer
