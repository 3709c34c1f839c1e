#pragma once

#include "base/error.h"
#include "bench/step_clock.h"

#include <cctype>
#include <cstdint>
#include <map>
#include <string>

namespace llama_steer::bench {

struct bench_options {
    bool json = false;
    bool quick = false;  ///< few sides, few rounds: whether it runs, and a first look
    int rounds = 8;
    int pairs = 300;  ///< per round and side, as far as `seconds` reach
    /// That a workload may take in all, of the wall clock; a slow one takes longer, for six rounds of one pair each.
    double seconds = 26;
    bool wall = false;  ///< times by the wall clock also where one thread does all the work
    int32_t threads = 1;
    int32_t gpu_layers = 0;
    std::string model;  ///< a GGUF file instead of the two models
    std::string only;   ///< workloads whose names contain it, and not as the beginning of another number

    bool wants(const std::string & name) const {
        const size_t at = name.find(only);
        const size_t end = at + only.size();
        return only.empty() || (at != std::string::npos && (end >= name.size() || std::isdigit(name[end]) == 0));
    }

    step_clock clock() const { return finest_clock(!wall && threads == 1 && gpu_layers == 0); }
};

/// The options of a command line, the others as in `options`; `usage` is said with what is not understood. `more`:
/// options that one benchmark has, each with a text. Throws INVALID_ARGUMENT.
inline bench_options parse_options(int argc, char ** argv, bench_options options, const char * usage,
                                   const std::map<std::string, std::string *> & more = {}) {
    for (int i = 1; i < argc; ++i) {
        const std::string name = argv[i];
        const auto value = [&]() -> std::string {
            if (i + 1 == argc) {
                throw error(error_code::INVALID_ARGUMENT, name + " takes a value");
            }
            return argv[++i];
        };
        const auto number = [&](int least) {
            const std::string text = value();
            const bool digits = !text.empty() && text.size() < 7 && text.find_first_not_of("0123456789") == text.npos;
            if (!digits || std::stoi(text) < least) {
                throw error(error_code::INVALID_ARGUMENT,
                            name + " takes a whole number from " + std::to_string(least) + ", not '" + text + "'");
            }
            return std::stoi(text);
        };
        if (name == "--json") {
            options.json = true;
        } else if (name == "--quick") {
            options.quick = true;
            options.rounds = 2;
            options.seconds = 4;
        } else if (name == "--rounds") {
            options.rounds = number(1);
        } else if (name == "--pairs") {
            options.pairs = number(1);
        } else if (name == "--seconds") {
            options.seconds = number(1);
        } else if (name == "--wall") {
            options.wall = true;
        } else if (name == "--threads") {
            options.threads = number(1);
        } else if (name == "--gpu-layers") {
            options.gpu_layers = number(0);
        } else if (name == "--model") {
            options.model = value();
        } else if (name == "--only") {
            options.only = value();
        } else if (more.count(name) > 0) {
            *more.at(name) = value();
        } else {
            throw error(error_code::INVALID_ARGUMENT, "unknown option " + name + "\n" + usage);
        }
    }
    return options;
}

}  // namespace llama_steer::bench
