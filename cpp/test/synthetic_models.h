// Models of random weights, one of each architecture, made and loaded once.
#pragma once

#include "model/backend.h"
#include "model/model.h"
#include "synthetic/model_file.h"
#include "synthetic/presets.h"
#include "test/test_device.h"

#include <filesystem>
#include <map>
#include <memory>
#include <random>
#include <string>

namespace llama_steer::synthetic {

/// A path of its own in the temporary folder; the file is removed with the object.
class temporary_path {
public:
    temporary_path()
        : path_((std::filesystem::temp_directory_path() /
                 ("llama-steer-" + std::to_string(std::random_device{}()) + ".gguf"))
                    .string()) {}
    ~temporary_path() {
        std::error_code ignored;
        std::filesystem::remove(path_, ignored);
    }
    temporary_path(const temporary_path &) = delete;
    temporary_path & operator=(const temporary_path &) = delete;

    const std::string & string() const { return path_; }

private:
    std::string path_;
};

inline std::shared_ptr<const model> load_model(const model_shape & shape) {
    init_backend("");
    const temporary_path path;
    write_model(shape, path.string());
    return model::load(path.string(), testbed::options_of_test_models());
}

/// The tiny model of an architecture.
inline std::shared_ptr<const model> tiny_model(const std::string & architecture) {
    static std::map<std::string, std::shared_ptr<const model>> loaded;
    std::shared_ptr<const model> & found = loaded[architecture];
    if (!found) {
        found = load_model(preset("tiny", architecture));
    }
    return found;
}

}  // namespace llama_steer::synthetic
