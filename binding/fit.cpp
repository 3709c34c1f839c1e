#include "fit.h"

#include "arguments.h"
#include "errors.h"
#include "ridge/blas.h"
#include "ridge/directions.h"
#include "task.h"

#include <atomic>
#include <memory>

namespace llama_steer {

namespace {

/// Rows as the solver's thread reads them. Shared memory is borrowed; an ArrayBuffer could be transferred away by the
/// caller meanwhile, so that what lies on one is copied.
struct rows_argument {
    std::vector<float> copy;
    float_memory memory;

    rows_argument() = default;
    rows_argument(const Napi::Value & value, const char * name) : memory(float32_array_argument(value, name)) {
        const Napi::Value buffer = value.As<Napi::Object>().Get("buffer");
        if (buffer.IsArrayBuffer()) {
            copy.assign(memory.data, memory.data + memory.length);
            memory.data = copy.data();
        }
    }
};

/// One fit: its inputs live here until the background thread is done with them.
struct fit_job {
    std::unique_ptr<rows_argument> activations;
    std::unique_ptr<rows_argument> preserve;
    std::vector<double> scores;
    size_t layers = 0;
    ridge::direction_options options;
};

ridge::layer_block block_of(const rows_argument & source, size_t layers, size_t width) {
    ridge::layer_block block;
    block.data = source.memory.data;
    block.layers = layers;
    block.rows = source.memory.length / (layers * width);
    block.cols = width;
    block.row_stride = width;
    block.layer_stride = block.rows * width;
    return block;
}

std::vector<ridge::direction> run(const fit_job & job, const ridge::fit_progress & progress) {
    const size_t rows = job.scores.size();
    const size_t width = rows == 0 ? 0 : job.activations->memory.length / (job.layers * rows);
    if (width == 0 || width * rows * job.layers != job.activations->memory.length) {
        throw error(error_code::WIDTH_MISMATCH, "activations holds " + std::to_string(job.activations->memory.length) +
                                                    " floats, which cannot be shared evenly by " +
                                                    std::to_string(job.layers) + " layers of " + std::to_string(rows) +
                                                    " rows (one per score)");
    }
    ridge::layer_block preserve;
    if (job.preserve) {
        preserve = block_of(*job.preserve, job.layers, width);
        if (preserve.rows == 0 || preserve.rows * width * job.layers != job.preserve->memory.length) {
            throw error(error_code::WIDTH_MISMATCH, "preserve holds " + std::to_string(job.preserve->memory.length) +
                                                        " floats, which are no whole rows of " + std::to_string(width) +
                                                        " for " + std::to_string(job.layers) + " layers");
        }
    }
    return ridge::fit_directions(block_of(*job.activations, job.layers, width), job.scores.data(), rows, job.options,
                                 preserve, progress);
}

Napi::Value result_of(Napi::Env env, const std::vector<ridge::direction> & fitted) {
    const size_t width = fitted.front().vector.size();
    Napi::Float32Array directions = Napi::Float32Array::New(env, fitted.size() * width);
    Napi::Array layers = Napi::Array::New(env, fitted.size());
    for (uint32_t i = 0; i < fitted.size(); ++i) {
        const ridge::direction & source = fitted[i];
        for (size_t j = 0; j < width; ++j) {
            directions[i * width + j] = static_cast<float>(source.gap * static_cast<double>(source.vector[j]));
        }
        Napi::Object layer = Napi::Object::New(env);
        layer.Set("gap", source.gap);
        layer.Set("lambda", source.lambda);
        layer.Set("condition", source.condition);
        layer.Set("auc", source.auc);
        layer.Set("cohensD", source.cohens_d);
        layer.Set("correlation", source.correlation);
        layer.Set("refusing", static_cast<double>(source.refusing));
        layer.Set("complying", static_cast<double>(source.complying));
        layer.Set("neutral", static_cast<double>(source.neutral));
        layer.Set("preserved", static_cast<double>(source.preserved));
        layers.Set(i, layer);
    }
    Napi::Object result = Napi::Object::New(env);
    result.Set("directions", directions);
    result.Set("layers", layers);
    result.Set("notice", ridge::take_notice());
    return result;
}

std::shared_ptr<fit_job> job_of(const Napi::Object & options) {
    auto job = std::make_shared<fit_job>();
    job->activations = std::make_unique<rows_argument>(options.Get("activations"), "activations");
    if (!options.Get("preserve").IsUndefined()) {
        job->preserve = std::make_unique<rows_argument>(options.Get("preserve"), "preserve");
    }
    const float_memory scores = float32_array_argument(options.Get("scores"), "scores");
    job->scores.assign(scores.data, scores.data + scores.length);
    job->layers = static_cast<size_t>(integer_argument(options.Get("layerCount"), "layers", 1, INT32_MAX));
    job->options.method = static_cast<ridge::direction_method>(integer_argument(options.Get("method"), "method", 0, 2));
    job->options.preserve =
        static_cast<ridge::preserve_mode>(integer_argument(options.Get("preserveMode"), "preserveMode", 0, 3));
    job->options.lambda = number_argument(options.Get("lambda"), "lambda");
    job->options.threshold = number_argument(options.Get("threshold"), "threshold");
    return job;
}

}  // namespace

Napi::Value fit_directions(const Napi::CallbackInfo & info) {
    const Napi::Env env = info.Env();
    return guarded(env, [&]() -> Napi::Value {
        const Napi::Object options = object_argument(info[0], "options");
        std::shared_ptr<fit_job> job = job_of(options);
        check_progress(info[1]);

        instance & self = instance::of(env);
        const dispatcher::ticket id =
            self.events.begin(env, {info[1], options.Get("activations"), options.Get("preserve")});
        auto cancelled = std::make_shared<std::atomic<bool>>(false);
        self.run_in_background(id, cancelled, [job, &self, id, cancelled]() -> instance::finisher {
            ridge::fit_progress progress;
            progress.aborted = [cancelled] { return cancelled->load(); };
            size_t finished = 0;
            progress.finished = [&](size_t) {
                report_progress(self, id, static_cast<double>(++finished) / static_cast<double>(job->layers));
            };
            auto fitted = std::make_shared<std::vector<ridge::direction>>(run(*job, progress));
            return [fitted](Napi::Env current) { return result_of(current, *fitted); };
        });
        return make_task(env, id, [cancelled] { cancelled->store(true); });
    });
}

Napi::Value ridge_backend(const Napi::CallbackInfo & info) { return Napi::String::New(info.Env(), ridge::backend()); }

}  // namespace llama_steer
