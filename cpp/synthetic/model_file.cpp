#include "synthetic/model_file.h"

#include "base/error.h"
#include "synthetic/architectures.h"
#include "synthetic/random_tensor.h"
#include "synthetic/vocabulary.h"

#include <algorithm>
#include <filesystem>
#include <fstream>
#include <vector>

#include <ggml-cpp.h>

namespace llama_steer::synthetic {

namespace {

namespace fs = std::filesystem;

constexpr int64_t elements_at_once = 1 << 20;

ggml_type ggml_type_of(const tensor_spec & spec, weight_type type) {
    if (!spec.weight_type || type == weight_type::f32) {
        return GGML_TYPE_F32;
    }
    const ggml_type blocks = type == weight_type::q4_0   ? GGML_TYPE_Q4_0
                             : type == weight_type::q8_0 ? GGML_TYPE_Q8_0
                                                         : GGML_TYPE_F16;
    return spec.shape.front() % ggml_blck_size(blocks) == 0 ? blocks : GGML_TYPE_F16;
}

ggml_ftype file_type_of(weight_type type) {
    switch (type) {
        case weight_type::q4_0:
            return GGML_FTYPE_MOSTLY_Q4_0;
        case weight_type::q8_0:
            return GGML_FTYPE_MOSTLY_Q8_0;
        case weight_type::f16:
            return GGML_FTYPE_MOSTLY_F16;
        case weight_type::f32:
            break;
    }
    return GGML_FTYPE_ALL_F32;
}

/// The file's header: metadata and the list of tensors, without their data.
class header {
public:
    header(const model_shape & shape, const std::vector<tensor_spec> & tensors)
        : file_(gguf_init_empty()), tensors_(ggml_init({tensors.size() * ggml_tensor_overhead(), nullptr, true})) {
        gguf_set_val_str(file_.get(), "general.architecture", shape.architecture.c_str());
        gguf_set_val_str(file_.get(), "general.type", "model");
        // Upstream expects the tokens of some families by this name.
        gguf_set_val_str(file_.get(), "general.name", "random weights");
        gguf_set_val_u32(file_.get(), "general.file_type", file_type_of(shape.type));
        gguf_set_val_u32(file_.get(), "general.quantization_version", GGML_QNT_VERSION);
        write_hyperparameters(file_.get(), shape);
        write_vocabulary(file_.get(), shape.vocabulary);
        for (const tensor_spec & spec : tensors) {
            ggml_tensor * tensor = ggml_new_tensor(tensors_.get(), ggml_type_of(spec, shape.type),
                                                   static_cast<int>(spec.shape.size()), spec.shape.data());
            ggml_set_name(tensor, spec.name.c_str());
            gguf_add_tensor(file_.get(), tensor);
        }
    }

    std::vector<char> bytes() const {
        std::vector<char> data(gguf_get_meta_size(file_.get()));
        gguf_get_meta_data(file_.get(), data.data());
        return data;
    }
    ggml_type type(size_t tensor) const { return gguf_get_tensor_type(file_.get(), static_cast<int64_t>(tensor)); }
    size_t alignment() const { return gguf_get_alignment(file_.get()); }

private:
    gguf_context_ptr file_;
    ggml_context_ptr tensors_;
};

class output_file {
public:
    explicit output_file(const std::string & path)
        : path_(fs::u8path(path)), stream_(path_, std::ios::binary | std::ios::trunc) {
        check();
    }
    ~output_file() {
        if (!finished_) {
            stream_.close();
            std::error_code ignored;
            fs::remove(path_, ignored);
        }
    }
    output_file(const output_file &) = delete;
    output_file & operator=(const output_file &) = delete;

    void write(const char * data, size_t size) {
        stream_.write(data, static_cast<std::streamsize>(size));
        written_ += size;
        check();
    }
    void pad(size_t alignment) {
        const std::vector<char> zeros((alignment - written_ % alignment) % alignment, '\0');
        write(zeros.data(), zeros.size());
    }
    uint64_t finish() {
        stream_.close();
        check();
        finished_ = true;
        return written_;
    }

private:
    void check() const {
        if (!stream_) {
            throw error(error_code::FILE_UNREADABLE,
                        "cannot write " + path_.u8string() + ": check its folder, permissions and the free space");
        }
    }

    fs::path path_;
    std::ofstream stream_;
    uint64_t written_ = 0;
    bool finished_ = false;
};

void write_tensor(output_file & file, const tensor_spec & spec, ggml_type type, uint64_t seed) {
    random_tensor values(spec, type, seed);
    std::vector<char> buffer(ggml_row_size(type, std::min(spec.elements(), elements_at_once)));
    for (int64_t done = 0; done < spec.elements(); done += elements_at_once) {
        const int64_t count = std::min(spec.elements() - done, elements_at_once);
        values.write(buffer.data(), count);
        file.write(buffer.data(), ggml_row_size(type, count));
    }
}

}  // namespace

model_file_info write_model(const model_shape & wanted, const std::string & path) {
    const model_shape shape = completed(wanted);
    const std::vector<tensor_spec> tensors = list_tensors(shape);
    const header head(shape, tensors);
    output_file file(path);
    const std::vector<char> bytes = head.bytes();
    file.write(bytes.data(), bytes.size());

    model_file_info info;
    for (size_t i = 0; i < tensors.size(); ++i) {
        write_tensor(file, tensors[i], head.type(i), shape.seed);
        file.pad(head.alignment());
        info.parameters += tensors[i].elements();
    }
    info.tensors = static_cast<int64_t>(tensors.size());
    info.bytes = file.finish();
    return info;
}

}  // namespace llama_steer::synthetic
