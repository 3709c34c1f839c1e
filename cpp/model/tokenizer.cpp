#include "model/tokenizer.h"

#include "base/error.h"

#include <algorithm>
#include <climits>

namespace llama_steer {

std::vector<int32_t> tokenize(const model & source, const std::string & text, const tokenize_options & options) {
    if (text.size() > INT_MAX / 2) {
        throw error(error_code::INVALID_ARGUMENT, "the text is too long to tokenize in one piece");
    }
    const auto length = static_cast<int32_t>(text.size());
    std::vector<int32_t> tokens(text.size() / 3 + 16);
    const auto run = [&] {
        return llama_tokenize(source.vocabulary(), text.data(), length, tokens.data(),
                              static_cast<int32_t>(tokens.size()), options.add_special, options.parse_special);
    };
    int32_t count = run();
    if (count < 0 && count != INT_MIN) {
        tokens.resize(static_cast<size_t>(-count));
        count = run();
    }
    if (count < 0) {
        throw error(error_code::INVALID_ARGUMENT, "the text cannot be tokenized");
    }
    tokens.resize(static_cast<size_t>(count));
    return tokens;
}

std::string token_bytes(const model & source, int32_t token, bool special) {
    std::string bytes;
    token_bytes(source, token, special, bytes);
    return bytes;
}

void token_bytes(const model & source, int32_t token, bool special, std::string & bytes) {
    if (token < 0 || token >= source.info().vocabulary_size) {
        throw error(error_code::INVALID_ARGUMENT, "token " + std::to_string(token) +
                                                      " is not in the vocabulary (0 to " +
                                                      std::to_string(source.info().vocabulary_size - 1) + ")");
    }
    bytes.resize(std::max<size_t>(bytes.capacity(), 32));
    const auto run = [&] {
        return llama_token_to_piece(source.vocabulary(), token, bytes.data(), static_cast<int32_t>(bytes.size()), 0,
                                    special);
    };
    int32_t length = run();
    if (length < 0) {
        bytes.resize(static_cast<size_t>(-length));
        length = run();
    }
    bytes.resize(static_cast<size_t>(length < 0 ? 0 : length));
}

std::string detokenize(const model & source, const int32_t * tokens, size_t count, bool special) {
    std::string text;
    for (size_t i = 0; i < count; ++i) {
        text += token_bytes(source, tokens[i], special);
    }
    return text;
}

}  // namespace llama_steer
