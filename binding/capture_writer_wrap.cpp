#include "capture_writer_wrap.h"

#include "arguments.h"
#include "capture_objects.h"
#include "elements_argument.h"
#include "errors.h"
#include "storage/system_error.h"
#include "task.h"

#include <algorithm>

namespace llama_steer {

namespace {

/// One append: its rows and labels live here, or are borrowed, until it is done.
struct append_job {
    std::shared_ptr<storage::capture_file_writer> writer;
    std::unique_ptr<elements_argument> data;
    std::vector<std::vector<int32_t>> labels;  ///< sequence, position, token, prompt; empty where not given
    storage::row_block block;

    void operator()(const storage::cancellation & cancelled) const { writer->append(block, cancelled); }
};

const int32_t * label_column(append_job & job, const Napi::Value & value, const char * name) {
    if (value.IsUndefined()) {
        return nullptr;
    }
    job.labels.push_back(int32_array_argument(value, name));
    if (job.labels.back().size() != job.block.rows) {
        throw error(error_code::WIDTH_MISMATCH, std::string(name) + " holds " +
                                                    std::to_string(job.labels.back().size()) + " labels for " +
                                                    std::to_string(job.block.rows) + " rows");
    }
    return job.labels.back().data();
}

/// From (data, { slots: Int32Array, capacity, rows, sequence?, position?, token?, prompt? }): `data` is
/// [any number][capacity][width], and `slots` says which of the first the file's layers are.
std::shared_ptr<append_job> job_of(const std::shared_ptr<storage::capture_file_writer> & writer,
                                   const Napi::Value & data, const Napi::Object & options) {
    auto job = std::make_shared<append_job>();
    job->writer = writer;
    const uint64_t width = writer->description().width;
    const auto capacity = static_cast<uint64_t>(integer_argument(options.Get("capacity"), "capacity", 0, INT32_MAX));
    job->block.rows =
        static_cast<size_t>(integer_argument(options.Get("rows"), "rows", 0, static_cast<int64_t>(capacity)));
    job->data = std::make_unique<elements_argument>(data, "data");
    job->block.type = job->data->type;
    for (const int32_t slot : int32_array_argument(options.Get("slots"), "slots")) {
        const uint64_t begin = static_cast<uint64_t>(slot) * capacity * width;
        if (slot < 0 || begin + job->block.rows * width > job->data->length) {
            throw error(error_code::WIDTH_MISMATCH, "data holds " + std::to_string(job->data->length) +
                                                        " elements, fewer than its layers, capacity and width say");
        }
        job->block.layers.push_back(job->data->data + begin * element_bytes(job->block.type));
    }
    job->block.sequence = label_column(*job, options.Get("sequence"), "sequence");
    job->block.position = label_column(*job, options.Get("position"), "position");
    job->block.token = label_column(*job, options.Get("token"), "token");
    job->block.prompt = label_column(*job, options.Get("prompt"), "prompts");
    return job;
}

Napi::Value undefined(Napi::Env env) { return env.Undefined(); }

storage::capture_writer_options writer_options(const Napi::Object & options) {
    storage::capture_writer_options result;
    result.shard_bytes = optional_property(options, "shardBytes", result.shard_bytes, [](const Napi::Value & value) {
        return integer_argument(value, "shardBytes", 1, int64_t{1} << 40);
    });
    result.append = boolean_argument(options.Get("append"), "append");
    result.recover = boolean_argument(options.Get("recover"), "recover");
    result.durable = boolean_argument(options.Get("durable"), "durable");
    return result;
}

}  // namespace

const napi_type_tag capture_writer_wrap::type_tag = {0x6c6c616d61737465, 0x65722e6377726974};

Napi::Function capture_writer_wrap::define(Napi::Env env) {
    return DefineClass(env, "NativeCaptureWriter",
                       {
                           InstanceMethod<&capture_writer_wrap::describe>("describe"),
                           InstanceMethod<&capture_writer_wrap::rows>("rows"),
                           InstanceMethod<&capture_writer_wrap::append>("append"),
                           InstanceMethod<&capture_writer_wrap::close>("close"),
                       });
}

Napi::Value capture_writer_wrap::open(const Napi::CallbackInfo & info) {
    const Napi::Env env = info.Env();
    return guarded(env, [&]() -> Napi::Value {
        const std::filesystem::path directory = storage::path_of(string_argument(info[0], "directory"), "directory");
        const Napi::Object given = object_argument(info[1], "options");
        const storage::capture_description description = capture_description_argument(given);
        const storage::capture_writer_options options = writer_options(given);

        instance & self = instance::of(env);
        const dispatcher::ticket id = self.events.begin(env, {});
        auto cancelled = std::make_shared<std::atomic<bool>>(false);
        self.run_in_background(id, cancelled, [directory, description, options]() -> instance::finisher {
            auto writer = std::make_shared<storage::capture_file_writer>(directory, description, options);
            return [writer](Napi::Env current) mutable -> Napi::Value {
                return instance::of(current).capture_writer_class.New(
                    {Napi::External<std::shared_ptr<storage::capture_file_writer>>::New(current, &writer)});
            };
        });
        return make_task(env, id, [] {});
    });
}

capture_writer_wrap::capture_writer_wrap(const Napi::CallbackInfo & info) : ObjectWrap(info) {
    if (info.Length() != 1 || !info[0].IsExternal()) {
        throw Napi::TypeError::New(info.Env(), "writers are made by openCaptureWriter");
    }
    writer_ = *info[0].As<Napi::External<std::shared_ptr<storage::capture_file_writer>>>().Data();
    queue_ = std::make_shared<background_queue>();
    info.This().As<Napi::Object>().TypeTag(&type_tag);
}

Napi::Value capture_writer_wrap::describe(const Napi::CallbackInfo & info) {
    return capture_description_object(info.Env(), writer_->description());
}

Napi::Value capture_writer_wrap::rows(const Napi::CallbackInfo & info) {
    return Napi::Number::New(info.Env(), static_cast<double>(writer_->rows()));
}

Napi::Value capture_writer_wrap::append(const Napi::CallbackInfo & info) {
    const Napi::Env env = info.Env();
    return guarded(env, [&]() -> Napi::Value {
        const std::shared_ptr<append_job> job = job_of(writer_, info[0], object_argument(info[1], "options"));
        const dispatcher::ticket id = instance::of(env).events.begin(env, {info[0]});
        const Napi::Object task = make_task(env, id, [queue = queue_, env, id] { queue->cancel(env, id); });
        queue_->push(
            env, id, [job](const std::atomic<bool> & cancelled) { (*job)([&cancelled] { return cancelled.load(); }); },
            undefined);
        return task;
    });
}

Napi::Value capture_writer_wrap::close(const Napi::CallbackInfo & info) {
    const Napi::Env env = info.Env();
    return guarded(env, [&]() -> Napi::Value {
        instance & self = instance::of(env);
        const dispatcher::ticket id = self.events.begin(env, {});
        const Napi::Promise closed = self.events.promise(id);
        queue_->push(
            env, id, [writer = writer_](const std::atomic<bool> &) { writer->close(); }, undefined);
        return closed;
    });
}

}  // namespace llama_steer
