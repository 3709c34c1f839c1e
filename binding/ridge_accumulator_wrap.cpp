#include "ridge_accumulator_wrap.h"

#include "arguments.h"
#include "errors.h"
#include "instance.h"
#include "moments_wrap.h"
#include "ridge_arguments.h"
#include "ridge_file_job.h"
#include "task.h"

#include <utility>

namespace llama_steer {

const napi_type_tag ridge_accumulator_wrap::type_tag = {0x6c6c616d61737465, 0x65722e7269646765};

Napi::Function ridge_accumulator_wrap::define(Napi::Env env) {
    return DefineClass(env, "NativeRidgeAccumulator",
                       {
                           InstanceMethod<&ridge_accumulator_wrap::count>("count"),
                           InstanceMethod<&ridge_accumulator_wrap::add>("add"),
                           InstanceMethod<&ridge_accumulator_wrap::add_file>("addFile"),
                           InstanceMethod<&ridge_accumulator_wrap::add_moments>("addMoments"),
                           InstanceMethod<&ridge_accumulator_wrap::merge>("merge"),
                           InstanceMethod<&ridge_accumulator_wrap::solve>("solve"),
                           InstanceMethod<&ridge_accumulator_wrap::dispose>("dispose"),
                       });
}

Napi::Value ridge_accumulator_wrap::create(const Napi::CallbackInfo & info) {
    return guarded(info.Env(), [&]() -> Napi::Value {
        const Napi::Object options = object_argument(info[0], "options");
        constexpr auto most = static_cast<int64_t>(ridge::largest_width);
        const auto width = static_cast<size_t>(integer_argument(options.Get("width"), "width", 1, most));
        const auto targets = static_cast<size_t>(integer_argument(options.Get("targetCount"), "targetCount", 1, most));
        const auto limit =
            static_cast<size_t>(integer_argument(options.Get("memoryLimit"), "memoryLimit", 0, (int64_t(1) << 53) - 1));
        owned made = std::make_shared<ridge::ridge_accumulator>(width, targets, limit);
        return instance::of(info.Env()).ridge_accumulator_class.New({Napi::External<owned>::New(info.Env(), &made)});
    });
}

ridge_accumulator_wrap::ridge_accumulator_wrap(const Napi::CallbackInfo & info) : ObjectWrap(info) {
    if (info.Length() != 1 || !info[0].IsExternal()) {
        throw Napi::TypeError::New(info.Env(), "ridge accumulators are made by createRidgeAccumulator");
    }
    accumulator_ = *info[0].As<Napi::External<owned>>().Data();
    queue_ = std::make_shared<background_queue>();
    info.This().As<Napi::Object>().TypeTag(&type_tag);
    Napi::MemoryManagement::AdjustExternalMemory(info.Env(), static_cast<int64_t>(accumulator_->bytes()));
}

void ridge_accumulator_wrap::Finalize(Napi::Env env) { release(env); }

void ridge_accumulator_wrap::release(Napi::Env env) {
    if (accumulator_) {
        Napi::MemoryManagement::AdjustExternalMemory(env, -static_cast<int64_t>(accumulator_->bytes()));
        accumulator_.reset();
    }
}

const ridge_accumulator_wrap::owned & ridge_accumulator_wrap::get() const {
    if (!accumulator_) {
        throw error(error_code::DISPOSED, "the accumulator was disposed of");
    }
    return accumulator_;
}

ridge::ridge_accumulator & ridge_accumulator_wrap::idle() const {
    ridge::ridge_accumulator & found = *get();
    if (queue_->busy()) {
        throw_invalid("this accumulator is still at work: await what add() or solve() returned first");
    }
    return found;
}

Napi::Value ridge_accumulator_wrap::push(Napi::Env env, const std::vector<Napi::Value> & kept, reported_work job,
                                         background_queue::outcome result) {
    check_progress(kept.front());
    instance & self = instance::of(env);
    const dispatcher::ticket id = self.events.begin(env, kept);
    const Napi::Object task = make_task(env, id, [queue = queue_, env, id] { queue->cancel(env, id); });
    queue_->push(
        env, id,
        [job = std::move(job), &self, id](const std::atomic<bool> & cancelled) {
            job([&cancelled] { return cancelled.load(); },
                [&self, id](double fraction) { report_progress(self, id, fraction); });
        },
        std::move(result));
    return task;
}

Napi::Value ridge_accumulator_wrap::count(const Napi::CallbackInfo & info) {
    return guarded(info.Env(), [&]() -> Napi::Value {
        const ridge::ridge_accumulator & source = idle();
        Napi::Object out = Napi::Object::New(info.Env());
        out.Set("count", static_cast<double>(source.count()));
        out.Set("weight", source.weight());
        return out;
    });
}

// add(options of ridge_rows_argument, onProgress)
Napi::Value ridge_accumulator_wrap::add(const Napi::CallbackInfo & info) {
    return guarded(info.Env(), [&]() -> Napi::Value {
        const Napi::Object given = object_argument(info[0], "options");
        const auto rows = std::make_shared<ridge_rows_argument>(given);
        return push(
            info.Env(), {info[1], info.This(), given.Get("features")},
            [target = get(), rows](const ridge::abort_check & aborted, const reporter & report) {
                target->add(rows->problem, aborted, report);
            },
            [](Napi::Env env) { return ridge_result(env, {}); });
    });
}

// addFile(NativeCaptureReader, options of ridge_file_job_of, onProgress)
Napi::Value ridge_accumulator_wrap::add_file(const Napi::CallbackInfo & info) {
    return guarded(info.Env(), [&]() -> Napi::Value {
        const auto job = ridge_file_job_of(get(), info[0], object_argument(info[1], "options"));
        return push(
            info.Env(), {info[2], info.This()},
            [job](const ridge::abort_check & aborted, const reporter & report) { (*job)(aborted, report); },
            [](Napi::Env env) { return ridge_result(env, {}); });
    });
}

// addMoments(NativeMoments, layer slot, group, values: Float64Array)
Napi::Value ridge_accumulator_wrap::add_moments(const Napi::CallbackInfo & info) {
    return guarded(info.Env(), [&]() -> Napi::Value {
        const ridge::moments_accumulator & moments = unwrap_argument<moments_wrap>(info[0], "moments")->idle();
        const auto layer = static_cast<size_t>(integer_argument(info[1], "layer", 0, INT32_MAX));
        const auto group = static_cast<size_t>(integer_argument(info[2], "group", 0, INT32_MAX));
        const std::vector<double> values = numbers_argument(info[3], "targets");
        ridge::ridge_accumulator & target = idle();
        if (values.size() != target.targets()) {
            throw error(error_code::WIDTH_MISMATCH, "targets holds " + std::to_string(values.size()) +
                                                        " numbers for an accumulator of " +
                                                        std::to_string(target.targets()) + " targets");
        }
        target.add(moments, layer, group, values.data());
        return info.Env().Undefined();
    });
}

Napi::Value ridge_accumulator_wrap::merge(const Napi::CallbackInfo & info) {
    return guarded(info.Env(), [&]() -> Napi::Value {
        const ridge_accumulator_wrap * other = unwrap_argument<ridge_accumulator_wrap>(info[0], "other");
        idle().merge(other->idle());
        return info.Env().Undefined();
    });
}

// solve(options of ridge_options_argument, and intercept; onProgress)
Napi::Value ridge_accumulator_wrap::solve(const Napi::CallbackInfo & info) {
    return guarded(info.Env(), [&]() -> Napi::Value {
        const Napi::Object given = object_argument(info[0], "options");
        const ridge::ridge_options options = ridge_options_argument(given);
        const bool intercept = boolean_argument(given.Get("intercept"), "intercept");
        const auto solved = std::make_shared<std::vector<ridge::ridge_solution>>();
        return push(
            info.Env(), {info[1], info.This()},
            [source = get(), options, intercept, solved](const ridge::abort_check & aborted, const reporter & report) {
                ridge::ridge_options watched = options;
                watched.aborted = aborted;
                watched.progress = report;
                *solved = source->solve(watched, intercept);
            },
            [solved](Napi::Env env) { return ridge_result(env, *solved); });
    });
}

Napi::Value ridge_accumulator_wrap::dispose(const Napi::CallbackInfo & info) {
    queue_->close(info.Env());
    release(info.Env());
    return info.Env().Undefined();
}

}  // namespace llama_steer
