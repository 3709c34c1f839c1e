// Writes a GGUF model of random weights:
//
//   llama_steer_make_model ARCH OUT [--preset NAME] [--layers N] [--hidden N] [--heads N] [--kv-heads N] ...
//
// Options change what the preset (default: tiny) says.

#include "base/error.h"
#include "synthetic/model_file.h"
#include "synthetic/presets.h"

#include <chrono>
#include <cstdio>
#include <map>
#include <string>
#include <vector>

using namespace llama_steer;
using namespace llama_steer::synthetic;

namespace {

using size_field = int64_t model_shape::*;

const std::vector<std::pair<std::string, size_field>> & size_options() {
    static const std::vector<std::pair<std::string, size_field>> options{
        {"--layers", &model_shape::layers},
        {"--hidden", &model_shape::hidden},
        {"--heads", &model_shape::heads},
        {"--kv-heads", &model_shape::kv_heads},
        {"--head-size", &model_shape::head_size},
        {"--ffn", &model_shape::ffn},
        {"--vocab", &model_shape::vocabulary},
        {"--context", &model_shape::context},
        {"--experts", &model_shape::experts},
        {"--experts-used", &model_shape::experts_used},
        {"--expert-ffn", &model_shape::expert_ffn},
        {"--sliding-window", &model_shape::sliding_window},
        {"--sliding-pattern", &model_shape::sliding_pattern},
        {"--full-attention-interval", &model_shape::full_attention_interval},
        {"--linear-head-size", &model_shape::linear_head_size},
        {"--linear-key-heads", &model_shape::linear_key_heads},
        {"--linear-value-heads", &model_shape::linear_value_heads},
    };
    return options;
}

void print_usage() {
    std::printf("llama_steer_make_model ARCH OUT [options]\n  ARCH:");
    for (const std::string & name : architecture_names()) {
        std::printf(" %s", name.c_str());
    }
    std::printf("\n  --preset:");
    for (const std::string & name : preset_names()) {
        std::printf(" %s", name.c_str());
    }
    std::printf("\n  --type: f32 f16 q8_0 q4_0\n  --seed N\n  sizes:");
    for (const auto & [name, field] : size_options()) {
        std::printf(" %s", name.c_str());
    }
    std::printf("\n");
}

uint64_t parse_number(const std::string & option, const std::string & text) {
    const bool digits = !text.empty() && text.size() <= 18 && text.find_first_not_of("0123456789") == std::string::npos;
    if (!digits) {
        throw error(error_code::INVALID_ARGUMENT, option + " takes a whole number, not '" + text + "'");
    }
    return std::stoull(text);
}

/// Options by name, and the two positional arguments under "".
struct arguments {
    std::vector<std::string> positional;
    std::map<std::string, std::string> options;
};

arguments parse(int argc, char ** argv) {
    arguments result;
    for (int i = 1; i < argc; ++i) {
        const std::string argument = argv[i];
        if (argument.rfind("--", 0) != 0) {
            result.positional.push_back(argument);
        } else if (i + 1 < argc) {
            result.options[argument] = argv[++i];
        } else {
            throw error(error_code::INVALID_ARGUMENT, argument + " takes a value");
        }
    }
    if (result.positional.size() != 2) {
        throw error(error_code::INVALID_ARGUMENT, "give an architecture and the path of the file to write");
    }
    return result;
}

model_shape shape_of(arguments given) {
    const auto take = [&](const std::string & name, const std::string & otherwise) {
        const auto found = given.options.find(name);
        const std::string value = found == given.options.end() ? otherwise : found->second;
        given.options.erase(name);
        return value;
    };
    model_shape shape = preset(take("--preset", "tiny"), given.positional[0]);
    shape.type = parse_weight_type(take("--type", weight_type_name(shape.type)));
    shape.seed = parse_number("--seed", take("--seed", std::to_string(shape.seed)));
    for (const auto & [name, field] : size_options()) {
        const std::string value = take(name, "");
        shape.*field = value.empty() ? shape.*field : static_cast<int64_t>(parse_number(name, value));
    }
    if (!given.options.empty()) {
        throw error(error_code::INVALID_ARGUMENT, "unknown option " + given.options.begin()->first);
    }
    return shape;
}

}  // namespace

int main(int argc, char ** argv) {
    if (argc == 1) {
        print_usage();
        return 2;
    }
    try {
        const arguments given = parse(argc, argv);
        const model_shape shape = shape_of(given);
        const auto start = std::chrono::steady_clock::now();
        const model_file_info info = write_model(shape, given.positional[1]);
        const double seconds = std::chrono::duration<double>(std::chrono::steady_clock::now() - start).count();
        std::printf("%s: %s, %lld layers, %.1f M parameters in %s, %.1f MB, %.2f s\n", given.positional[1].c_str(),
                    shape.architecture.c_str(), static_cast<long long>(shape.layers),
                    static_cast<double>(info.parameters) / 1e6, weight_type_name(shape.type),
                    static_cast<double>(info.bytes) / 1e6, seconds);
        return 0;
    } catch (const error & failure) {
        std::fprintf(stderr, "%s: %s\n", error_code_name(failure.code()), failure.what());
    } catch (const std::exception & failure) {
        std::fprintf(stderr, "%s\n", failure.what());
    }
    return 1;
}
