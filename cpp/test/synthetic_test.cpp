// Models of random weights: they load, run and speak in every architecture, and their bytes follow from the shape
// alone.

#include "check.h"
#include "synthetic/random_tensor.h"
#include "synthetic_models.h"
#include "testbed.h"

#include <algorithm>
#include <fstream>
#include <iterator>

using namespace llama_steer;
using namespace llama_steer::synthetic;

namespace {

std::string bytes_of(const model_shape & shape) {
    const temporary_path path;
    write_model(shape, path.string());
    std::ifstream file(path.string(), std::ios::binary);
    return {std::istreambuf_iterator<char>(file), std::istreambuf_iterator<char>()};
}

uint64_t hash(const std::string & bytes) {
    uint64_t value = 0xcbf29ce484222325ULL;
    for (const char each : bytes) {
        value = (value ^ static_cast<uint8_t>(each)) * 0x100000001b3ULL;
    }
    return value;
}

context_options two_sequences() {
    context_options options;
    options.max_sequences = 2;
    options.context_size = 128;
    options.threads = 1;
    return options;
}

double rms(const float * values, size_t count) {
    double squares = 0;
    for (size_t i = 0; i < count; ++i) {
        squares += static_cast<double>(values[i]) * values[i];
    }
    return std::sqrt(squares / static_cast<double>(count));
}

/// Two prompts of different lengths, then three steps of both. All logits are finite and neither tiny nor huge.
void check_evaluates(const std::shared_ptr<const model> & source) {
    testbed::waiting_engine engine(two_sequences(), source);
    const auto width = static_cast<size_t>(source->info().vocabulary_size);
    for (int step = 0; step < 4; ++step) {
        std::vector<evaluate_entry> entries(2);
        size_t rows = 0;
        for (int32_t sequence = 0; sequence < 2; ++sequence) {
            evaluate_entry & entry = entries[static_cast<size_t>(sequence)];
            entry.sequence = sequence;
            const char * text = sequence == 0 ? "A short one" : "One that is longer than the other by some bytes";
            entry.tokens = step == 0 ? tokenize(*source, text, {}) : std::vector<int32_t>{40 + step + sequence};
            entry.generated = step > 0;
            entry.logits = logits_rows::all;
            rows += entry.tokens.size();
        }
        std::vector<float> logits(rows * width, NAN);
        const evaluate_result result = engine.evaluate(entries, &logits);
        CHECK_EQ(result.logits_rows, static_cast<int64_t>(rows));
        for (size_t row = 0; row < rows; ++row) {
            const double size = rms(logits.data() + row * width, width);
            CHECK(size > 0.1 && size < 10);
        }
    }
}

}  // namespace

TEST(synthetic_models_load_and_evaluate_in_every_architecture) {
    for (const std::string & architecture : architecture_names()) {
        const std::shared_ptr<const model> source = tiny_model(architecture);
        const model_info & info = source->info();
        CHECK_EQ(info.architecture, architecture);
        CHECK_EQ(info.n_layers, 4);
        CHECK_EQ(info.hidden_size, 64);
        CHECK_EQ(info.n_heads, 4);
        CHECK_EQ(info.vocabulary_size, 320);
        CHECK_EQ(info.recurrent, architecture == "qwen3next");
        CHECK(info.bytes < 2000000);
        check_evaluates(source);
    }
}

TEST(synthetic_models_evaluate_in_every_weight_type) {
    for (const std::string & architecture : architecture_names()) {
        for (const weight_type type : {weight_type::f16, weight_type::q8_0, weight_type::q4_0}) {
            model_shape shape = preset("tiny", architecture);
            shape.type = type;
            check_evaluates(load_model(shape));
        }
    }
}

TEST(synthetic_models_keep_their_activations_through_many_layers) {
    for (const std::string & architecture : architecture_names()) {
        model_shape shape = preset("tiny", architecture);
        shape.layers = 48;
        shape.type = weight_type::q4_0;
        check_evaluates(load_model(shape));
    }
}

TEST(synthetic_models_tokenize_text_and_end_generations) {
    const std::shared_ptr<const model> source = tiny_model("qwen3");
    const std::string text = "Grüße, 世界!\n";
    const std::vector<int32_t> tokens = tokenize(*source, text, {});
    CHECK_EQ(tokens.size(), text.size());
    CHECK_EQ(detokenize(*source, tokens.data(), tokens.size(), false), text);
    const std::vector<int32_t> message = tokenize(*source, "<|im_start|>user\nHi<|im_end|>", {false, true});
    CHECK_EQ(message.size(), 9U);
    CHECK_EQ(message.front(), 257);
    CHECK_EQ(message.back(), 258);
    CHECK(llama_vocab_is_eog(source->vocabulary(), 258));
    CHECK_EQ(token_bytes(*source, 300, false), "[unused41]");
    CHECK(source->chat_template().find("<|im_start|>assistant") != std::string::npos);
}

TEST(synthetic_models_are_the_same_bytes_for_a_seed_and_others_for_another) {
    for (const std::string & architecture : architecture_names()) {
        model_shape shape = preset("tiny", architecture);
        const std::string first = bytes_of(shape);
        CHECK(first == bytes_of(shape));
        CHECK(first.size() < 2000000);
        shape.seed = 2;
        CHECK(first != bytes_of(shape));
    }
    // As the first machine wrote them: no other may differ.
    model_shape shape = preset("tiny", "llama");
    CHECK_EQ(hash(bytes_of(shape)), 16062646173072044830ULL);
    shape.type = weight_type::f16;
    CHECK_EQ(hash(bytes_of(shape)), 5031073620619032701ULL);
    shape.type = weight_type::q8_0;
    CHECK_EQ(hash(bytes_of(shape)), 14897417283901699333ULL);
    shape.type = weight_type::q4_0;
    CHECK_EQ(hash(bytes_of(shape)), 4760799170941580433ULL);
}

TEST(synthetic_tensors_have_the_deviation_asked_for_in_every_type) {
    constexpr int64_t count = 1 << 18;
    const tensor_spec spec{"weights", {count}, 0, 0.02F, true};
    for (const ggml_type type : {GGML_TYPE_F32, GGML_TYPE_F16, GGML_TYPE_Q8_0, GGML_TYPE_Q4_0}) {
        std::vector<char> stored(ggml_row_size(type, count));
        random_tensor(spec, type, 1).write(stored.data(), count);
        std::vector<float> values(count);
        if (type == GGML_TYPE_F32) {
            std::memcpy(values.data(), stored.data(), stored.size());
        } else {
            ggml_get_type_traits(type)->to_float(stored.data(), values.data(), count);
        }
        CHECK_NEAR(rms(values.data(), count), 0.02, 2e-4);
        CHECK_NEAR(std::accumulate(values.begin(), values.end(), 0.0) / count, 0, 2e-4);
        CHECK(*std::max_element(values.begin(), values.end()) < 0.07F);
        CHECK(*std::min_element(values.begin(), values.end()) > -0.07F);
    }
}

TEST(synthetic_models_of_shapes_that_cannot_be_are_refused_and_leave_no_file) {
    const temporary_path path;
    const auto refused = [&](const std::string & architecture, int64_t model_shape::*field, int64_t value) {
        model_shape shape = preset("tiny", architecture);
        shape.*field = value;
        const std::string message = CHECK_THROWS_CODE(write_model(shape, path.string()), error_code::INVALID_ARGUMENT);
        CHECK(!message.empty());
        CHECK(!std::filesystem::exists(path.string()));
    };
    refused("llama", &model_shape::layers, 0);
    refused("llama", &model_shape::layers, 513);
    refused("llama", &model_shape::heads, 0);
    refused("llama", &model_shape::heads, 6);
    refused("phi3", &model_shape::head_size, 8);
    refused("qwen3", &model_shape::kv_heads, 3);
    refused("qwen3", &model_shape::head_size, 15);
    refused("qwen3", &model_shape::vocabulary, 258);
    refused("qwen3moe", &model_shape::experts_used, 5);
    refused("qwen3next", &model_shape::layers, 1);
    refused("qwen3next", &model_shape::linear_key_heads, 3);
    refused("gpt5", &model_shape::layers, 4);
    CHECK_THROWS_CODE(preset("huge", "llama"), error_code::INVALID_ARGUMENT);
    CHECK_THROWS_CODE(parse_weight_type("q9"), error_code::INVALID_ARGUMENT);
    CHECK_THROWS_CODE(write_model(preset("tiny", "llama"), "no-such-folder/model.gguf"), error_code::FILE_UNREADABLE);
}

TEST(synthetic_presets_are_complete_in_every_architecture) {
    for (const std::string & name : preset_names()) {
        for (const std::string & architecture : architecture_names()) {
            if (name == "4b" && architecture == "phi3") {
                CHECK_THROWS_CODE(completed(preset(name, architecture)), error_code::INVALID_ARGUMENT);
            } else {
                CHECK(completed(preset(name, architecture)).head_size >= 16);
            }
        }
    }
}
