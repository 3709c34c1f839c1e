#pragma once

#include <cstdint>

struct gguf_context;

namespace llama_steer::synthetic {

/// 256 byte tokens and three control tokens.
constexpr int64_t smallest_vocabulary = 259;

/// Writes a byte-level BPE vocabulary of `size` tokens, without merges: every text is tokenized byte by byte, id = byte
/// rank in GPT-2's alphabet. <|endoftext|> is 256 (begin, padding), <|im_start|> 257, <|im_end|> 258 (end of
/// generation); the rest, up to `size`, are "[unused0]"... of the normal kind, so that what a random model generates
/// shows as text. Also the ChatML template.
void write_vocabulary(gguf_context * file, int64_t size);

}  // namespace llama_steer::synthetic
