#include "row_measures_calls.h"

#include "arguments.h"
#include "capture/row_measures.h"
#include "elements_argument.h"
#include "errors.h"
#include "steering/threshold_search.h"
#include "task.h"

#include <memory>
#include <numeric>
#include <string>
#include <vector>

namespace llama_steer {

namespace {

/// Which rows of a block of elements belong to which layer.
struct row_places {
    std::vector<int32_t> slots;
    std::vector<int32_t> rows;
    int64_t capacity = 0;
    int64_t width = 0;

    /// `length`: elements there are. Throws INVALID_ARGUMENT, WIDTH_MISMATCH.
    row_places(const Napi::Object & source, size_t n_layers, int64_t row_width, size_t length)
        : slots(int32_array_argument(source.Get("slots"), "slots")),
          rows(int32_array_argument(source.Get("rows"), "rows")),
          capacity(integer_argument(source.Get("capacity"), "capacity", 0, INT32_MAX)),
          width(row_width) {
        if (slots.size() != n_layers || rows.size() != n_layers) {
            throw_invalid("slots and rows must have one entry for each layer");
        }
        for (size_t i = 0; i < n_layers; ++i) {
            if (slots[i] < 0 || rows[i] < 0 || rows[i] > capacity) {
                throw_invalid("slots, rows and capacity do not fit each other");
            }
            if (slots[i] * capacity + rows[i] > static_cast<int64_t>(length) / width) {
                throw error(error_code::WIDTH_MISMATCH, "the activations' data holds " + std::to_string(length) +
                                                            " numbers, fewer than its layers and rows take");
            }
        }
    }

    stored_rows layer(size_t index, const std::byte * data, element_type type) const {
        const auto row_bytes = width * static_cast<int64_t>(element_bytes(type));
        return {data + slots[index] * capacity * row_bytes, type, rows[index], width};
    }
};

/// Rows of one class, as the searching thread reads them.
struct row_source {
    elements_argument elements;
    row_places places;

    row_source(const Napi::Object & source, size_t n_layers, int64_t width)
        : elements(source.Get("data"), "the activations' data"), places(source, n_layers, width, elements.length) {}
};
using row_sources = std::vector<std::unique_ptr<row_source>>;

/// A layer's condition, and the means of its classes.
struct found_condition {
    threshold_choice choice;
    double positive_mean = 0;
    double negative_mean = 0;
};

struct search_job {
    row_sources positive;
    row_sources negative;
    std::vector<int32_t> layers;
    std::vector<float> vector;  ///< [layers][width]
    int64_t width = 0;
    row_measure measure = row_measure::cosine;
    condition_side side = condition_side::either;
};

[[noreturn]] void throw_at_layer(const error & failure, int32_t layer, const char * name) {
    throw error(failure.code(), std::string(name) + ", layer " + std::to_string(layer) + ": " + failure.what());
}

/// The measures of all rows that one class has at a layer.
std::vector<double> values_of(const row_sources & sources, size_t index, const search_job & job, const char * name,
                              const std::function<bool()> & cancelled) {
    std::vector<double> values;
    for (const auto & source : sources) {
        const stored_rows rows = source->places.layer(index, source->elements.data, source->elements.type);
        const size_t before = values.size();
        values.resize(before + static_cast<size_t>(rows.rows));
        try {
            measure_rows(rows, job.vector.data() + static_cast<int64_t>(index) * job.width, job.measure, cancelled,
                         values.data() + before);
        } catch (const error & failure) {
            if (failure.code() == error_code::ABORTED) {
                throw;
            }
            throw_at_layer(failure, job.layers[index], name);
        }
    }
    if (values.empty()) {
        throw error(error_code::EMPTY_CLASS,
                    std::string(name) + " holds no rows of layer " + std::to_string(job.layers[index]));
    }
    return values;
}

double mean_of(const std::vector<double> & values) {
    return std::accumulate(values.begin(), values.end(), 0.0) / static_cast<double>(values.size());
}

std::vector<found_condition> search(const search_job & job, const std::function<bool()> & cancelled) {
    std::vector<found_condition> found;
    for (size_t i = 0; i < job.layers.size(); ++i) {
        std::vector<double> positive = values_of(job.positive, i, job, "positive", cancelled);
        std::vector<double> negative = values_of(job.negative, i, job, "negative", cancelled);
        const double positive_mean = mean_of(positive);
        const double negative_mean = mean_of(negative);
        found.push_back(
            {search_threshold(std::move(positive), std::move(negative), job.side), positive_mean, negative_mean});
    }
    return found;
}

Napi::Value result_of(Napi::Env env, const std::vector<found_condition> & found) {
    Napi::Array layers = Napi::Array::New(env, found.size());
    for (uint32_t i = 0; i < found.size(); ++i) {
        const threshold_choice & choice = found[i].choice;
        Napi::Object layer = Napi::Object::New(env);
        layer.Set("threshold", choice.threshold);
        layer.Set("above", choice.above);
        layer.Set("f1", choice.f1);
        layer.Set("precision", choice.precision);
        layer.Set("recall", choice.recall);
        layer.Set("margin", choice.margin);
        layer.Set("positiveMean", found[i].positive_mean);
        layer.Set("negativeMean", found[i].negative_mean);
        layers.Set(i, layer);
    }
    return layers;
}

/// Reads the sources of one class, and notes what must be kept alive for them.
row_sources sources_argument(const Napi::Value & value, const char * name, const search_job & job,
                             std::vector<Napi::Value> & kept) {
    if (!value.IsArray()) {
        throw_wrong_type(name, "an array");
    }
    const auto array = value.As<Napi::Array>();
    row_sources sources;
    for (uint32_t i = 0; i < array.Length(); ++i) {
        const Napi::Object source = object_argument(array.Get(i), name);
        sources.push_back(std::make_unique<row_source>(source, job.layers.size(), job.width));
        kept.push_back(source.Get("data"));
    }
    return sources;
}

/// Layers, and the width that an array of `length` elements gives each of them.
int64_t width_of(size_t length, const std::vector<int32_t> & layers) {
    if (layers.empty() || length == 0 || length % layers.size() != 0) {
        throw error(error_code::WIDTH_MISMATCH, "the vector holds " + std::to_string(length) +
                                                    " floats, which cannot be shared evenly by " +
                                                    std::to_string(layers.size()) + " layers");
    }
    return static_cast<int64_t>(length / layers.size());
}

std::shared_ptr<search_job> job_of(const Napi::Object & options, std::vector<Napi::Value> & kept) {
    auto job = std::make_shared<search_job>();
    job->layers = int32_array_argument(options.Get("layers"), "layers");
    const float_memory vector = float32_array_argument(options.Get("vector"), "vector");
    job->vector.assign(vector.data, vector.data + vector.length);
    job->width = width_of(vector.length, job->layers);
    job->measure = static_cast<row_measure>(integer_argument(options.Get("measure"), "measure", 0, 1));
    job->side = static_cast<condition_side>(integer_argument(options.Get("side"), "compare", 0, 2));
    job->positive = sources_argument(options.Get("positive"), "positive", *job, kept);
    job->negative = sources_argument(options.Get("negative"), "negative", *job, kept);
    return job;
}

}  // namespace

Napi::Value search_conditions(const Napi::CallbackInfo & info) {
    const Napi::Env env = info.Env();
    return guarded(env, [&]() -> Napi::Value {
        std::vector<Napi::Value> kept;
        const std::shared_ptr<search_job> job = job_of(object_argument(info[0], "options"), kept);
        instance & self = instance::of(env);
        const dispatcher::ticket id = self.events.begin(env, kept);
        auto cancelled = std::make_shared<std::atomic<bool>>(false);
        self.run_in_background(id, cancelled, [job, cancelled]() -> instance::finisher {
            auto found = std::make_shared<std::vector<found_condition>>(
                search(*job, [&cancelled] { return cancelled->load(); }));
            return [found](Napi::Env current) { return result_of(current, *found); };
        });
        return make_task(env, id, [cancelled] { cancelled->store(true); });
    });
}

Napi::Value mean_norms(const Napi::CallbackInfo & info) {
    return guarded(info.Env(), [&]() -> Napi::Value {
        const Napi::Object source = object_argument(info[0], "activations");
        const array_memory memory =
            array_argument(source.Get("data"), "the activations' data",
                           "a Float32Array, or a Uint16Array of half floats", {napi_float32_array, napi_uint16_array});
        const std::vector<int32_t> layers = int32_array_argument(info[1], "layers");
        const int64_t width = integer_argument(info[2], "width", 1, INT32_MAX);
        const float_memory into = float32_array_argument(info[3], "into");
        const row_places places(source, layers.size(), width, memory.length);
        if (into.length != layers.size()) {
            throw_invalid("into must hold one number for each layer");
        }
        const element_type type = memory.type == napi_float32_array ? element_type::f32 : element_type::f16;
        for (size_t i = 0; i < layers.size(); ++i) {
            const stored_rows rows = places.layer(i, static_cast<const std::byte *>(memory.data), type);
            if (rows.rows == 0) {
                throw error(error_code::EMPTY_CLASS,
                            "the activations hold no rows of layer " + std::to_string(layers[i]));
            }
            try {
                into.data[i] = static_cast<float>(mean_norm(rows));
            } catch (const error & failure) {
                throw_at_layer(failure, layers[i], "activations");
            }
        }
        return info[3];
    });
}

}  // namespace llama_steer
