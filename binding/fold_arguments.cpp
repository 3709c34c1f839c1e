#include "fold_arguments.h"

#include "arguments.h"
#include "capture_reader_wrap.h"
#include "errors.h"

#include <cstdint>
#include <string>

namespace llama_steer {

namespace {

void check_count(size_t count, size_t rows, const char * name) {
    if (count != rows) {
        throw error(error_code::WIDTH_MISMATCH, std::string(name) + " holds " + std::to_string(count) + " values for " +
                                                    std::to_string(rows) + " rows");
    }
}

/// Points `blocks` to the rows, in `memory` itself or in `copy`.
template <typename element>
void place_rows(const array_memory & memory, const std::vector<int32_t> & slots, size_t capacity,
                std::vector<element> & copy, std::vector<ridge::row_block> & blocks) {
    const auto * source = static_cast<const element *>(memory.data);
    const size_t size = blocks.front().rows * blocks.front().cols;
    if (!memory.shared) {
        copy.reserve(size * blocks.size());
    }
    for (size_t i = 0; i < blocks.size(); ++i) {
        const element * first = source + static_cast<size_t>(slots[i]) * capacity * blocks[i].cols;
        if (memory.shared) {
            blocks[i].data = first;
        } else {
            blocks[i].data = copy.data() + copy.size();
            copy.insert(copy.end(), first, first + size);
        }
    }
}

void take_rows(fold_job & job, const Napi::Value & data, const Napi::Object & options, size_t rows) {
    const array_memory memory = array_argument(data, "the activations' data", "a Float32Array or a Uint16Array",
                                               {napi_float32_array, napi_uint16_array});
    const std::vector<int32_t> slots = int32_array_argument(options.Get("slots"), "slots");
    const auto capacity = static_cast<size_t>(integer_argument(options.Get("capacity"), "capacity", 0, INT32_MAX));
    const size_t width = job.target->shape().width;
    if (slots.size() != job.target->shape().layers.size() || rows > capacity) {
        throw_invalid("slots and capacity do not fit the rows");
    }
    for (const int32_t slot : slots) {
        if (slot < 0 || static_cast<size_t>(slot) * capacity + rows > memory.length / width) {
            throw error(error_code::WIDTH_MISMATCH, "the activations' data holds " + std::to_string(memory.length) +
                                                        " numbers, fewer than its layers and rows take");
        }
    }
    const element_type type = memory.type == napi_float32_array ? element_type::f32 : element_type::f16;
    job.rows.layers.assign(slots.size(), {nullptr, type, rows, width, width});
    if (rows == 0) {
        return;
    }
    if (type == element_type::f32) {
        place_rows(memory, slots, capacity, job.floats, job.rows.layers);
    } else {
        place_rows(memory, slots, capacity, job.halves, job.rows.layers);
    }
}

void take_groups(row_classes & classes, const Napi::Value & value, size_t rows, size_t group_count) {
    if (value.IsNumber()) {
        const auto last = static_cast<int64_t>(group_count) - 1;
        classes.group = static_cast<int32_t>(integer_argument(value, "groups", 0, last));
        return;
    }
    const array_memory memory =
        array_argument(value, "groups", "the number of a group or an Int32Array", {napi_int32_array});
    check_count(memory.length, rows, "groups");
    const auto * begin = static_cast<const int32_t *>(memory.data);
    classes.groups.assign(begin, begin + memory.length);
}

void take_weights(row_classes & classes, const Napi::Value & value, size_t rows) {
    if (value.IsUndefined()) {
        return;
    }
    const array_memory memory =
        array_argument(value, "weights", "a Float32Array or a Float64Array", {napi_float32_array, napi_float64_array});
    check_count(memory.length, rows, "weights");
    if (memory.type == napi_float32_array) {
        const auto * begin = static_cast<const float *>(memory.data);
        classes.weights.assign(begin, begin + memory.length);
    } else {
        const auto * begin = static_cast<const double *>(memory.data);
        classes.weights.assign(begin, begin + memory.length);
    }
}

row_classes classes_of(const Napi::Object & options, size_t rows, size_t group_count) {
    row_classes classes;
    take_groups(classes, options.Get("groups"), rows, group_count);
    take_weights(classes, options.Get("weights"), rows);
    return classes;
}

}  // namespace

std::shared_ptr<const fold_job> fold_job_of(const std::shared_ptr<ridge::moments_accumulator> & target,
                                            const Napi::Value & data, const Napi::Object & options) {
    auto job = std::make_shared<fold_job>();
    job->target = target;
    const auto rows = static_cast<size_t>(integer_argument(options.Get("rows"), "rows", 0, INT32_MAX));
    take_rows(*job, data, options, rows);
    job->classes = classes_of(options, rows, target->shape().groups);
    job->classes.give(job->rows);
    return job;
}

std::shared_ptr<const file_fold_job> file_fold_job_of(const std::shared_ptr<ridge::moments_accumulator> & target,
                                                      const Napi::Value & reader, const Napi::Object & options) {
    auto job = std::make_shared<file_fold_job>();
    job->target = target;
    job->reader = unwrap_argument<capture_reader_wrap>(reader, "the capture file")->get();
    const auto rows = static_cast<int64_t>(job->reader->rows());
    job->from = static_cast<uint64_t>(integer_argument(options.Get("from"), "from", 0, rows));
    const int64_t left = rows - static_cast<int64_t>(job->from);
    job->count = static_cast<uint64_t>(integer_argument(options.Get("count"), "count", 0, left));
    for (const int32_t slot : int32_array_argument(options.Get("slots"), "slots")) {
        if (slot < 0 || static_cast<size_t>(slot) >= job->reader->description().layers.size()) {
            throw_invalid("slots do not fit the file");
        }
        job->slots.push_back(static_cast<size_t>(slot));
    }
    if (job->slots.size() != target->shape().layers.size()) {
        throw_invalid("slots do not fit the moments");
    }
    job->classes = classes_of(options, static_cast<size_t>(job->count), target->shape().groups);
    return job;
}

}  // namespace llama_steer
