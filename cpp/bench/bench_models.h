#pragma once

#include "base/error.h"
#include "bench/options.h"
#include "model/model.h"
#include "synthetic/model_file.h"
#include "synthetic/presets.h"

#include <gguf.h>

#include <cstdint>
#include <cstdlib>
#include <filesystem>
#include <memory>
#include <string>
#include <vector>

namespace llama_steer::bench {

struct bench_model {
    std::string name;
    std::shared_ptr<const model> source;
    bool has_goals;
    uint64_t weight_bytes;  ///< that a forward pass reads
};

/// A preset in an architecture, made where it was not made before: in the folder that LLAMA_STEER_BENCH_CACHE names, or
/// one in the temporary folder.
inline std::string made_model(const std::string & preset, const std::string & architecture,
                              synthetic::weight_type type) {
    const char * const named = std::getenv("LLAMA_STEER_BENCH_CACHE");
    const std::filesystem::path folder =
        named != nullptr ? named : std::filesystem::temp_directory_path() / "llama-steer-bench";
    const std::filesystem::path path =
        folder / (architecture + "-" + preset + "-" + synthetic::weight_type_name(type) + ".gguf");
    if (!std::filesystem::exists(path)) {
        std::filesystem::create_directories(folder);
        const std::filesystem::path unfinished = path.string() + ".unfinished";
        synthetic::model_shape shape = synthetic::preset(preset, architecture);
        shape.type = type;
        synthetic::write_model(shape, unfinished.string());
        std::filesystem::rename(unfinished, path);
    }
    return path.string();
}

/// Bytes of all tensors of a file, but for the embeddings where the output has a matrix of its own: of those a pass
/// reads single rows.
inline uint64_t weight_bytes_of(const std::string & path) {
    gguf_context * file = gguf_init_from_file(path.c_str(), {true, nullptr});
    if (file == nullptr) {
        throw error(error_code::FILE_UNREADABLE, "cannot read " + path);
    }
    uint64_t bytes = 0;
    const bool untied = gguf_find_tensor(file, "output.weight") >= 0;
    for (int64_t i = 0; i < gguf_get_n_tensors(file); ++i) {
        const bool embeddings = std::string(gguf_get_tensor_name(file, i)) == "token_embd.weight";
        bytes += embeddings && untied ? 0 : gguf_get_tensor_size(file, i);
    }
    gguf_free(file);
    return bytes;
}

/// Throws MODEL_UNSUPPORTED for a recurrent one, whose sequences cannot be cut back.
inline bench_model load_bench_model(const std::string & path, const std::string & name, bool has_goals,
                                    const bench_options & options) {
    model_options how;
    how.gpu_layers = options.gpu_layers;
    const std::shared_ptr<const model> source = model::load(path, how);
    const model_info & info = source->info();
    if (info.recurrent) {
        throw error(error_code::MODEL_UNSUPPORTED, path + " is recurrent: its sequences cannot be cut back");
    }
    return {name + " (" + info.architecture + ", " + std::to_string(info.n_layers) + " layers x " +
                std::to_string(info.hidden_size) + ")",
            source, has_goals, weight_bytes_of(path)};
}

/// The file that the options name; without one the shape of 0.5B parameters and the test-bed.
inline std::vector<bench_model> load_models(const bench_options & options) {
    if (!options.model.empty()) {
        const std::string name = std::filesystem::path(options.model).filename().string();
        return {load_bench_model(options.model, name, false, options)};
    }
    return {
        load_bench_model(made_model("0.5b", "qwen3", synthetic::weight_type::q4_0), "0.5B-like, Q4_0", true, options),
        load_bench_model(LLAMA_STEER_TESTBED "/valdoria-chat.gguf", "test-bed, F16", false, options)};
}

}  // namespace llama_steer::bench
