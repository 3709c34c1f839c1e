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

constexpr int64_t most_refits = 100000;

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
    size_t memory_budget = 0;
    std::vector<double> lambdas;
    ridge::direction_options options;
};

/// [layer][lambda]
using fitted_paths = std::vector<std::vector<ridge::direction>>;

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

fitted_paths run(const fit_job & job, const ridge::fit_progress & progress) {
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
    return ridge::fit_direction_paths(block_of(*job.activations, job.layers, width), job.scores.data(), rows,
                                      job.options, job.lambdas, preserve, progress, job.memory_budget);
}

Napi::Object separation_of(Napi::Env env, const ridge::separation & source) {
    Napi::Object result = Napi::Object::New(env);
    result.Set("auc", source.auc);
    result.Set("cohensD", source.cohens_d);
    result.Set("correlation", source.correlation);
    result.Set("rankCorrelation", source.spearman);
    return result;
}

Napi::Object facts_of(Napi::Env env, const ridge::direction & source, const ridge::resampling_options & asked) {
    Napi::Object layer = separation_of(env, source.in_sample);
    layer.Set("gap", source.gap);
    layer.Set("lambda", source.lambda);
    layer.Set("shrinkage", source.shrinkage);
    layer.Set("condition", source.condition);
    layer.Set("refusing", static_cast<double>(source.refusing));
    layer.Set("complying", static_cast<double>(source.complying));
    layer.Set("neutral", static_cast<double>(source.neutral));
    layer.Set("preserved", static_cast<double>(source.preserved));
    Napi::Array shares = Napi::Array::New(env, source.top_shares.size());
    for (uint32_t i = 0; i < source.top_shares.size(); ++i) {
        shares.Set(i, source.top_shares[i]);
    }
    layer.Set("topShares", shares);
    layer.Set("participation", source.participation);
    if (asked.folds != 0) {
        layer.Set("heldOut", separation_of(env, source.held_out));
    }
    if (asked.resamples != 0) {
        layer.Set("stability", source.stability);
    }
    return layer;
}

/// The fit of one lambda: { directions, layers }.
Napi::Object fit_of(Napi::Env env, const fitted_paths & fitted, size_t lambda,
                    const ridge::resampling_options & asked) {
    const size_t width = fitted.front()[lambda].vector.size();
    Napi::Float32Array directions = Napi::Float32Array::New(env, fitted.size() * width);
    Napi::Array layers = Napi::Array::New(env, fitted.size());
    for (uint32_t i = 0; i < fitted.size(); ++i) {
        const ridge::direction & source = fitted[i][lambda];
        for (size_t j = 0; j < width; ++j) {
            directions[i * width + j] = static_cast<float>(source.gap * static_cast<double>(source.vector[j]));
        }
        layers.Set(i, facts_of(env, source, asked));
    }
    Napi::Object result = Napi::Object::New(env);
    result.Set("directions", directions);
    result.Set("layers", layers);
    return result;
}

Napi::Value result_of(Napi::Env env, const fitted_paths & fitted, const ridge::resampling_options & asked) {
    const size_t count = fitted.front().size();
    Napi::Array fits = Napi::Array::New(env, count);
    for (uint32_t i = 0; i < count; ++i) {
        fits.Set(i, fit_of(env, fitted, i, asked));
    }
    Napi::Object result = Napi::Object::New(env);
    result.Set("fits", fits);
    result.Set("notice", ridge::take_notice());
    return result;
}

std::vector<double> lambdas_argument(const Napi::Value & value) {
    const array_memory memory = array_argument(value, "lambda", "a Float64Array", {napi_float64_array});
    const double * data = static_cast<const double *>(memory.data);
    return std::vector<double>(data, data + memory.length);
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
    const auto choice = [&](const char * key, int64_t last) {
        return integer_argument(options.Get(key), key, 0, last);
    };
    job->options.method = static_cast<ridge::direction_method>(choice("method", 5));
    job->options.preserve = static_cast<ridge::preserve_mode>(choice("preserveMode", 4));
    job->options.unit = static_cast<ridge::lambda_unit>(choice("lambdaUnit", 1));
    job->options.rule = static_cast<ridge::lambda_rule>(choice("lambdaRule", 3));
    job->lambdas = lambdas_argument(options.Get("lambdas"));
    job->options.resampling.folds = static_cast<size_t>(choice("crossValidation", most_refits));
    job->options.resampling.resamples = static_cast<size_t>(choice("bootstrap", most_refits));
    job->options.resampling.seed = static_cast<uint64_t>(choice("seed", INT64_C(1) << 53));
    job->memory_budget = static_cast<size_t>(choice("memoryBudget", INT64_C(1) << 53));
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
            progress.stepped = [&](size_t done, size_t all) {
                report_progress(self, id, static_cast<double>(done) / static_cast<double>(all));
            };
            auto fitted = std::make_shared<fitted_paths>(run(*job, progress));
            return [fitted, job](Napi::Env current) { return result_of(current, *fitted, job->options.resampling); };
        });
        return make_task(env, id, [cancelled] { cancelled->store(true); });
    });
}

Napi::Value ridge_backend(const Napi::CallbackInfo & info) { return Napi::String::New(info.Env(), ridge::backend()); }

}  // namespace llama_steer
