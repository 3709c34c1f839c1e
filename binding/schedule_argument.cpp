#include "schedule_argument.h"

#include "arguments.h"
#include "errors.h"
#include "requests.h"

#include <string>
#include <vector>

namespace llama_steer {

namespace {

constexpr size_t numbers_per_segment = 5;

schedule_shape shape_argument(double number, const char * name) {
    const double last = static_cast<double>(schedule_shape::exponential);
    // Written so that NaN fails too.
    if (!(number >= 0 && number <= last) || number != static_cast<double>(static_cast<int>(number))) {
        throw_invalid(std::string(name) + " has a segment of an unknown shape");
    }
    return static_cast<schedule_shape>(static_cast<int>(number));
}

std::vector<schedule_segment> segments_argument(const Napi::Value & value, const char * name) {
    const array_memory memory =
        array_argument(value, name, "given with segments in Float64Arrays", {napi_float64_array});
    if (memory.length % numbers_per_segment != 0) {
        throw_invalid(std::string(name) + ": a segment is five numbers");
    }
    std::vector<schedule_segment> segments;
    const auto * numbers = static_cast<const double *>(memory.data);
    for (size_t i = 0; i < memory.length; i += numbers_per_segment) {
        const double * at = numbers + i;
        segments.push_back({at[0], shape_argument(at[1], name), at[2], at[3], at[4]});
    }
    return segments;
}

}  // namespace

schedule schedule_argument(const Napi::Value & value, const char * name) {
    const Napi::Array array =
        list_argument(object_argument(value, name).Get("phases"), (std::string("the phases of ") + name).c_str());
    std::vector<schedule_phase> phases;
    for (uint32_t i = 0; i < array.Length(); ++i) {
        const Napi::Object phase = object_argument(array.Get(i), name);
        phases.push_back(
            {selection_argument(phase.Get("tokens"), name), segments_argument(phase.Get("segments"), name)});
    }
    return schedule(std::move(phases));
}

Napi::Value schedule_values(const Napi::CallbackInfo & info) {
    return guarded(info.Env(), [&]() -> Napi::Value {
        const schedule strengths = schedule_argument(info[0], "schedule");
        const std::vector<int32_t> tokens = int32_array_argument(info[1], "tokens");
        const auto count = static_cast<int32_t>(tokens.size());
        const auto n_prompt = static_cast<int32_t>(integer_argument(info[2], "promptTokens", 0, count));
        const array_memory into = array_argument(info[3], "into", "a Float64Array", {napi_float64_array});
        if (into.length != tokens.size()) {
            throw_invalid("into must hold one number for each token");
        }
        batch_layout layout(1);
        // Two batches, as an evaluation would have them: all of the prompt, all of the answer.
        const auto fill = [&](int32_t begin, int32_t end) {
            const bool answer = begin == n_prompt;
            layout.clear();
            layout.set(0, {begin, end - begin, 0, answer, answer ? -1 : n_prompt}, tokens.data() + begin);
            for (int32_t i = begin; i < end; ++i) {
                const bool output = answer || i + 1 == n_prompt;
                static_cast<double *>(into.data)[i] = strengths.at(layout, 0, i, layout.step(0, i), output);
            }
        };
        fill(0, n_prompt);
        fill(n_prompt, count);
        return info[3];
    });
}

}  // namespace llama_steer
