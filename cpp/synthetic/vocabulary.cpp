#include "synthetic/vocabulary.h"

#include <string>
#include <vector>

#include <gguf.h>

namespace llama_steer::synthetic {

namespace {

constexpr int32_t normal_token = 1;
constexpr int32_t control_token = 3;

constexpr uint32_t end_of_text = 256;
constexpr uint32_t end_of_message = 258;

const char * const chat_template =
    "{% for message in messages %}"
    "{{ '<|im_start|>' + message['role'] + '\\n' + message['content'] + '<|im_end|>' + '\\n' }}"
    "{% endfor %}"
    "{% if add_generation_prompt %}{{ '<|im_start|>assistant\\n' }}{% endif %}";

/// A code point under 0x800.
std::string utf8(uint32_t code) {
    if (code < 0x80) {
        return std::string(1, static_cast<char>(code));
    }
    return {static_cast<char>(0xC0 | (code >> 6)), static_cast<char>(0x80 | (code & 0x3F))};
}

/// GPT-2's alphabet: bytes that print stand for themselves and come first, the others are moved behind 255.
std::vector<std::string> byte_alphabet() {
    std::vector<std::string> printable;
    std::vector<std::string> moved;
    for (uint32_t byte = 0; byte < 256; ++byte) {
        const bool prints = (byte >= '!' && byte <= '~') || (byte >= 0xA1 && byte != 0xAD);
        if (prints) {
            printable.push_back(utf8(byte));
        } else {
            moved.push_back(utf8(256 + static_cast<uint32_t>(moved.size())));
        }
    }
    printable.insert(printable.end(), moved.begin(), moved.end());
    return printable;
}

}  // namespace

void write_vocabulary(gguf_context * file, int64_t size) {
    std::vector<std::string> tokens = byte_alphabet();
    std::vector<int32_t> types(tokens.size(), normal_token);
    for (const char * control : {"<|endoftext|>", "<|im_start|>", "<|im_end|>"}) {
        tokens.emplace_back(control);
        types.push_back(control_token);
    }
    const auto count = static_cast<size_t>(size);
    for (size_t i = 0; tokens.size() < count; ++i) {
        tokens.push_back("[unused" + std::to_string(i) + "]");
        types.push_back(normal_token);
    }
    std::vector<const char *> texts;
    texts.reserve(count);
    for (const std::string & token : tokens) {
        texts.push_back(token.c_str());
    }
    gguf_set_val_str(file, "tokenizer.ggml.model", "gpt2");
    gguf_set_val_str(file, "tokenizer.ggml.pre", "gpt-2");
    gguf_set_arr_str(file, "tokenizer.ggml.tokens", texts.data(), texts.size());
    gguf_set_arr_data(file, "tokenizer.ggml.token_type", GGUF_TYPE_INT32, types.data(), types.size());
    gguf_set_arr_str(file, "tokenizer.ggml.merges", nullptr, 0);
    gguf_set_val_u32(file, "tokenizer.ggml.bos_token_id", end_of_text);
    gguf_set_val_u32(file, "tokenizer.ggml.eos_token_id", end_of_message);
    gguf_set_val_u32(file, "tokenizer.ggml.padding_token_id", end_of_text);
    gguf_set_val_bool(file, "tokenizer.ggml.add_bos_token", false);
    gguf_set_val_str(file, "tokenizer.chat_template", chat_template);
}

}  // namespace llama_steer::synthetic
