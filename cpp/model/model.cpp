#include "model/model.h"

#include "base/error.h"
#include "model/assertions.h"
#include "model/log.h"

#include <array>
#include <cstring>
#include <exception>
#include <filesystem>
#include <fstream>
#include <new>

namespace llama_steer {

namespace {

/// Refuses what is plainly no model before upstream sees it, with the reason.
void check_file(const std::string & path) {
    namespace fs = std::filesystem;
    std::error_code failure;
    const fs::file_status status = fs::status(fs::u8path(path), failure);
    if (status.type() == fs::file_type::not_found) {
        throw error(error_code::FILE_NOT_FOUND, "no such file: " + path);
    }
    if (failure) {
        throw error(error_code::FILE_UNREADABLE, "cannot read " + path + ": " + failure.message());
    }
    if (status.type() != fs::file_type::regular) {
        throw error(error_code::FILE_UNREADABLE, path + " is not a file: give the path of a .gguf file");
    }
    std::ifstream file(fs::u8path(path), std::ios::binary);
    if (!file) {
        throw error(error_code::FILE_UNREADABLE, "cannot open " + path + ": check its permissions");
    }
    std::array<char, 4> magic{};
    file.read(magic.data(), magic.size());
    if (file.gcount() < static_cast<std::streamsize>(magic.size()) || std::memcmp(magic.data(), "GGUF", 4) != 0) {
        throw error(error_code::MODEL_INVALID,
                    path + " is not a GGUF model" + (file.gcount() == 0 ? " (the file is empty)" : ""));
    }
}

std::string read_string(int32_t (*read)(const llama_model *, char *, size_t), const llama_model * handle) {
    std::array<char, 256> buffer{};
    return read(handle, buffer.data(), buffer.size()) >= 0 ? std::string(buffer.data()) : std::string();
}

[[noreturn]] void throw_load_error(const std::string & path, const std::string & cause) {
    const bool unsupported = cause.find("unknown model architecture") != std::string::npos;
    throw error(unsupported ? error_code::MODEL_UNSUPPORTED : error_code::MODEL_INVALID,
                "cannot load " + path + (cause.empty() ? "" : ": " + cause));
}

}  // namespace

std::shared_ptr<const model> model::load(const std::string & path, const model_options & options) {
    check_file(path);

    struct progress_state {
        const std::function<bool(float)> & report;
        bool aborted;
    } state{options.progress, false};

    llama_model_params params = llama_model_default_params();
    params.n_gpu_layers = options.gpu_layers < 0 ? 1 << 20 : options.gpu_layers;
    params.progress_callback_user_data = &state;
    params.progress_callback = [](float fraction, void * data) {
        auto * progress = static_cast<progress_state *>(data);
        progress->aborted = progress->aborted || (progress->report && !progress->report(fraction));
        return !progress->aborted;
    };

    const log_capture log;
    const assertions_throw guard;
    llama_model * handle = nullptr;
    try {
        handle = llama_model_load_from_file(path.c_str(), params);
    } catch (const std::bad_alloc &) {
        throw error(error_code::OUT_OF_MEMORY, "not enough memory to load " + path);
    } catch (const std::exception & failure) {
        throw_load_error(path, failure.what());
    }
    if (state.aborted) {
        llama_model_free(handle);
        throw error(error_code::ABORTED, "loading " + path + " was aborted");
    }
    if (handle == nullptr) {
        throw_load_error(path, log.errors());
    }
    std::shared_ptr<const model> loaded(new model(handle));
    if (!llama_model_has_decoder(handle) || llama_model_has_encoder(handle)) {
        throw error(error_code::MODEL_UNSUPPORTED, path + " is a " + loaded->info().architecture +
                                                       " model; only decoder models that generate text are supported");
    }
    return loaded;
}

model::model(llama_model * handle) : handle_(handle) {
    info_.architecture = metadata("general.architecture");
    info_.description = read_string(llama_model_desc, handle);
    info_.n_layers = llama_model_n_layer(handle);
    info_.hidden_size = llama_model_n_embd(handle);
    info_.vocabulary_size = llama_vocab_n_tokens(vocabulary());
    info_.n_heads = llama_model_n_head(handle);
    info_.training_context = llama_model_n_ctx_train(handle);
    info_.n_parameters = llama_model_n_params(handle);
    info_.bytes = llama_model_size(handle);
    info_.recurrent = llama_model_is_recurrent(handle) || llama_model_is_hybrid(handle);
    const char * source = llama_model_chat_template(handle, nullptr);
    chat_template_ = source != nullptr ? source : "";
}

std::string model::metadata(const std::string & key) const {
    const int32_t length = llama_model_meta_val_str(handle_.get(), key.c_str(), nullptr, 0);
    if (length < 0) {
        return "";
    }
    std::string value(static_cast<size_t>(length) + 1, '\0');
    llama_model_meta_val_str(handle_.get(), key.c_str(), value.data(), value.size());
    value.resize(static_cast<size_t>(length));
    return value;
}

}  // namespace llama_steer
