// Of NativeContext: generations, and the delivery of what their steps bring.

#include "arguments.h"
#include "context_wrap.h"
#include "errors.h"
#include "instance.h"
#include "labels.h"
#include "requests.h"

#include <algorithm>

namespace llama_steer {

namespace {

template <typename array_type, typename source>
void set_array(Napi::Object & target, const char * key, array_type array, const source & from) {
    std::copy(from.begin(), from.end(), array.Data());
    target.Set(key, array);
}

/// { tokens: Int32Array, interventions: Float64Array, counts: Int32Array, values: Float32Array }: for each report the
/// token of the step that it goes with, and how many of the values are its; undefined where nothing was reported.
Napi::Value projections_object(Napi::Env env, const step_events & events) {
    std::vector<int32_t> tokens;
    std::vector<double> interventions;
    std::vector<int32_t> counts;
    std::vector<float> values;
    for (size_t i = 0; i < events.tokens.size(); ++i) {
        for (const projection_report & each : events.tokens[i].token.projections) {
            tokens.push_back(static_cast<int32_t>(i));
            interventions.push_back(static_cast<double>(each.intervention));
            counts.push_back(static_cast<int32_t>(each.values.size()));
            values.insert(values.end(), each.values.begin(), each.values.end());
        }
    }
    if (tokens.empty()) {
        return env.Undefined();
    }
    Napi::Object result = Napi::Object::New(env);
    set_array(result, "tokens", Napi::Int32Array::New(env, tokens.size()), tokens);
    set_array(result, "interventions", Napi::Float64Array::New(env, interventions.size()), interventions);
    set_array(result, "counts", Napi::Int32Array::New(env, counts.size()), counts);
    set_array(result, "values", Napi::Float32Array::New(env, values.size()), values);
    return result;
}

/// { counts: Int32Array, tokens: Int32Array, logProbabilities: Float32Array }: for each token of the step how many
/// alternatives are its; undefined where none were asked for.
Napi::Value alternatives_object(Napi::Env env, const step_events & events) {
    std::vector<int32_t> counts;
    std::vector<int32_t> tokens;
    std::vector<float> log_probabilities;
    for (const generated_token & each : events.tokens) {
        counts.push_back(static_cast<int32_t>(each.token.chosen.alternatives.size()));
        for (const probable_token & alternative : each.token.chosen.alternatives) {
            tokens.push_back(alternative.token);
            log_probabilities.push_back(alternative.log_probability);
        }
    }
    if (tokens.empty()) {
        return env.Undefined();
    }
    Napi::Object result = Napi::Object::New(env);
    set_array(result, "counts", Napi::Int32Array::New(env, counts.size()), counts);
    set_array(result, "tokens", Napi::Int32Array::New(env, tokens.size()), tokens);
    set_array(result, "logProbabilities", Napi::Float32Array::New(env, log_probabilities.size()), log_probabilities);
    return result;
}

}  // namespace

Napi::Value context_wrap::generate(const Napi::CallbackInfo & info) {
    const Napi::Env env = info.Env();
    return guarded(env, [&]() -> Napi::Value {
        const int32_t sequence = sequence_argument(info[0]);
        generate_request request = generate_arguments(sequence, info[1], info[2], get().source());
        std::vector<Napi::Value> kept{info.This()};
        if (request.capture) {
            kept.push_back(info[2].As<Napi::Object>().Get("capture").As<Napi::Object>().Get("into"));
        }
        const bool held = boolean_argument(info[3], "held");
        // What it brings is delivered on this thread, not before this call is over.
        const operation_id id = engine_->generate(std::move(request), held);
        generations_[id] = instance::of(env).events.begin(env, kept);
        return Napi::Number::New(env, static_cast<double>(id));
    });
}

Napi::Value context_wrap::start(const Napi::CallbackInfo & info) {
    return guarded(info.Env(), [&]() -> Napi::Value {
        const int64_t id = integer_argument(info[0], "generation", 1, INT64_MAX);
        if (engine_) {
            engine_->start(static_cast<operation_id>(id));
        }
        return info.Env().Undefined();
    });
}

Napi::Value context_wrap::cancel(const Napi::CallbackInfo & info) {
    return guarded(info.Env(), [&]() -> Napi::Value {
        const int64_t id = integer_argument(info[0], "generation", 1, INT64_MAX);
        if (engine_) {
            engine_->cancel(static_cast<operation_id>(id));
        }
        return info.Env().Undefined();
    });
}

void context_wrap::deliver(Napi::Env env, const step_events & events) {
    Napi::Float64Array generations = Napi::Float64Array::New(env, events.tokens.size());
    Napi::Int32Array tokens = Napi::Int32Array::New(env, events.tokens.size());
    Napi::Float32Array log_probabilities = Napi::Float32Array::New(env, events.tokens.size());
    Napi::Int32Array text_bytes = Napi::Int32Array::New(env, events.tokens.size());
    for (size_t i = 0; i < events.tokens.size(); ++i) {
        generations[i] = static_cast<double>(events.tokens[i].generation);
        tokens[i] = events.tokens[i].token.chosen.token;
        log_probabilities[i] = events.tokens[i].token.chosen.log_probability;
        text_bytes[i] = events.tokens[i].text_bytes;
    }
    Napi::Array ends = Napi::Array::New(env, events.ends.size());
    for (uint32_t i = 0; i < events.ends.size(); ++i) {
        static constexpr const char * names[] = {"stop", "length", "context"};
        const generation_end & source = events.ends[i];
        Napi::Object end = Napi::Object::New(env);
        end.Set("generation", static_cast<double>(source.generation));
        end.Set("reason", names[static_cast<size_t>(source.reason)]);
        end.Set("failure", source.failure ? to_javascript(env, source.failure) : env.Undefined());
        end.Set("captured", source.captured ? labels_object(env, 0, *source.captured) : env.Undefined());
        end.Set("stopToken", source.stop_token);
        end.Set("stopString", source.stop_string);
        end.Set("sharedTokens", source.shared_tokens);
        ends.Set(i, end);
    }
    on_step_.Call({generations, tokens, log_probabilities, text_bytes, ends, projections_object(env, events),
                   alternatives_object(env, events)});
    for (const generation_end & end : events.ends) {
        const auto found = generations_.find(end.generation);
        if (found != generations_.end()) {
            const dispatcher::ticket ticket = found->second;
            generations_.erase(found);
            instance::of(env).events.resolve(env, ticket, env.Undefined());
        }
    }
}

}  // namespace llama_steer
