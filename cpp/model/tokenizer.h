#pragma once

#include "model/model.h"

#include <string>
#include <vector>

namespace llama_steer {

struct tokenize_options {
    bool add_special = false;    ///< add the begin (and end) token where the model's vocabulary asks for it
    bool parse_special = false;  ///< read control tokens such as <|im_start|> as tokens rather than as text
};

/// UTF-8 text to token ids. Thread-safe. Throws INVALID_ARGUMENT for text over 2^31 bytes.
std::vector<int32_t> tokenize(const model & source, const std::string & text, const tokenize_options & options);

/// The bytes of one token (not necessarily whole UTF-8 characters); control tokens give none unless `special`.
/// Throws INVALID_ARGUMENT for an id outside the vocabulary.
std::string token_bytes(const model & source, int32_t token, bool special);

/// The same into `bytes`, whose memory is used again.
void token_bytes(const model & source, int32_t token, bool special, std::string & bytes);

/// The ids one after another.
std::string detokenize(const model & source, const int32_t * tokens, size_t count, bool special);

}  // namespace llama_steer
