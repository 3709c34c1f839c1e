#include "requests.h"

#include "arguments.h"
#include "errors.h"

#include <cmath>

namespace llama_steer {

namespace {

/// A finite number that also fits a float.
float float_argument(const Napi::Value & value, const char * name) {
    const auto number = static_cast<float>(number_argument(value, name));
    if (!std::isfinite(number)) {
        throw error(error_code::NOT_FINITE, std::string(name) + " is too large for a 32-bit float");
    }
    return number;
}

auto float_reader(const char * name) {
    return [name](const Napi::Value & value) { return float_argument(value, name); };
}

auto integer_reader(const char * name, int64_t low, int64_t high) {
    return [=](const Napi::Value & value) { return integer_argument(value, name, low, high); };
}

std::vector<llama_logit_bias> logit_bias(const Napi::Object & options) {
    std::vector<llama_logit_bias> bias;
    if (options.Get("biasTokens").IsUndefined()) {
        return bias;
    }
    const std::vector<int32_t> tokens = int32_array_argument(options.Get("biasTokens"), "logitBias");
    const float_memory values = float32_array_argument(options.Get("biasValues"), "logitBias");
    if (values.length != tokens.size()) {
        throw_invalid("logitBias must give one value per token");
    }
    for (size_t i = 0; i < tokens.size(); ++i) {
        bias.push_back({tokens[i], values.data[i]});
    }
    return bias;
}

std::vector<std::string> stop_strings(const Napi::Value & value) {
    std::vector<std::string> strings;
    const Napi::Array array = list_argument(value, "stop");
    for (uint32_t i = 0; i < array.Length(); ++i) {
        strings.push_back(string_argument(array.Get(i), "a stop string"));
        if (strings.back().empty()) {
            throw_invalid("a stop string must not be empty");
        }
    }
    return strings;
}

std::optional<grammar_source> grammar_argument(const Napi::Object & options) {
    if (options.Get("grammar").IsUndefined()) {
        return std::nullopt;
    }
    grammar_source source;
    source.text = string_argument(options.Get("grammar"), "grammar");
    source.root = optional_property(options, "grammarRoot", source.root,
                                    [](const Napi::Value & each) { return string_argument(each, "grammarRoot"); });
    return source;
}

bool float32_memory_argument(const Napi::Value & value) {
    const std::string type = string_argument(value, "memoryType");
    if (type != "f16" && type != "f32") {
        throw_wrong_type("memoryType", "\"f16\" or \"f32\"");
    }
    return type == "f32";
}

bool own_operators_argument(const Napi::Value & value) {
    const std::string choice = value.IsString() ? value.As<Napi::String>().Utf8Value() : "";
    if (choice != "own" && choice != "upstream") {
        throw_wrong_type("operators", "\"own\" or \"upstream\"");
    }
    return choice == "own";
}

}  // namespace

context_options context_arguments(const Napi::Value & value) {
    const Napi::Object given = object_argument(value, "options");
    const auto integer = [&](const char * key, int32_t fallback, int64_t low, int64_t high) {
        return optional_property(given, key, fallback,
                                 [&](const Napi::Value & each) { return integer_argument(each, key, low, high); });
    };
    context_options options;
    options.max_sequences = integer("sequences", options.max_sequences, 1, INT32_MAX);
    options.context_size = integer("contextSize", options.context_size, 1, INT32_MAX);
    options.memory_tokens = integer("memoryTokens", options.memory_tokens, 1, INT32_MAX);
    options.batch_size = integer("batchSize", options.batch_size, 1, INT32_MAX);
    options.prompt_budget = integer("promptBudget", options.prompt_budget, 1, INT32_MAX);
    options.threads = integer("threads", options.threads, 1, INT32_MAX);
    options.unified_memory =
        optional_property(given, "unifiedMemory", options.unified_memory,
                          [](const Napi::Value & each) { return boolean_argument(each, "unifiedMemory"); });
    options.float32_memory = optional_property(given, "memoryType", options.float32_memory, float32_memory_argument);
    options.attention = optional_property(given, "flashAttention", options.attention, [](const Napi::Value & each) {
        return boolean_argument(each, "flashAttention") ? flash_attention::on : flash_attention::off;
    });
    options.own_operators = optional_property(given, "operators", options.own_operators, own_operators_argument);
    return options;
}

std::vector<evaluate_entry> evaluate_entries(const Napi::Value & value, int32_t n_sequences) {
    const Napi::Array array = list_argument(value, "entries");
    std::vector<evaluate_entry> entries;
    for (uint32_t i = 0; i < array.Length(); ++i) {
        const Napi::Object source = object_argument(array.Get(i), "an entry");
        evaluate_entry entry;
        entry.sequence = static_cast<int32_t>(integer_argument(source.Get("sequence"), "sequence", 0, n_sequences - 1));
        entry.tokens = int32_array_argument(source.Get("tokens"), "tokens");
        entry.generated = boolean_argument(source.Get("generated"), "generated");
        entry.ends_prompt = boolean_argument(source.Get("endsPrompt"), "endsPrompt");
        entry.logits = static_cast<logits_rows>(integer_argument(source.Get("logits"), "logits", 0, 2));
        entries.push_back(std::move(entry));
    }
    return entries;
}

generate_request generate_arguments(int32_t sequence, const Napi::Value & prompt, const Napi::Value & value,
                                    const model & source) {
    const Napi::Object options = object_argument(value, "options");
    generate_request request;
    request.sequence = sequence;
    request.prompt = int32_array_argument(prompt, "prompt");
    request.max_tokens = static_cast<int32_t>(integer_argument(options.Get("maxTokens"), "maxTokens", 1, INT32_MAX));
    if (!options.Get("stopTokens").IsUndefined()) {
        request.stop_tokens = int32_array_argument(options.Get("stopTokens"), "stopTokens");
        for (const int32_t token : request.stop_tokens) {
            if (token < 0 || token >= source.info().vocabulary_size) {
                throw_invalid("stopTokens names a token that is not in the vocabulary");
            }
        }
    }
    if (!options.Get("stop").IsUndefined()) {
        request.stop_strings = stop_strings(options.Get("stop"));
    }
    sampler_options & sampling = request.sampling;
    sampling.temperature = optional_property(options, "temperature", sampling.temperature, float_reader("temperature"));
    sampling.top_k = optional_property(options, "topK", sampling.top_k, integer_reader("topK", 0, INT32_MAX));
    sampling.top_p = optional_property(options, "topP", sampling.top_p, float_reader("topP"));
    sampling.min_p = optional_property(options, "minP", sampling.min_p, float_reader("minP"));
    sampling.repeat_penalty =
        optional_property(options, "repeatPenalty", sampling.repeat_penalty, float_reader("repeatPenalty"));
    sampling.repeat_last =
        optional_property(options, "repeatLast", sampling.repeat_last, integer_reader("repeatLast", 0, INT32_MAX));
    sampling.seed = optional_property(options, "seed", sampling.seed, integer_reader("seed", 0, UINT32_MAX));
    sampling.alternatives =
        optional_property(options, "alternatives", sampling.alternatives, integer_reader("alternatives", 0, INT32_MAX));
    sampling.logit_bias = logit_bias(options);
    request.share_prefix = optional_property(
        options, "sharePrefix", false, [](const Napi::Value & each) { return boolean_argument(each, "sharePrefix"); });
    sampling.grammar = grammar_argument(options);
    if (!options.Get("capture").IsUndefined()) {
        tap_request capture = capture_argument(options.Get("capture"), source);
        capture.occasion = tap_occasion::generation;
        capture.sequence = sequence;
        request.capture = std::make_shared<tap>(std::move(capture));
    }
    return request;
}

}  // namespace llama_steer
