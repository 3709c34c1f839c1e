#include "base/batch_layout.h"

namespace llama_steer {

void batch_layout::set(int32_t sequence, const sequence_span & span, const int32_t * tokens) {
    spans_[sequence] = span;
    history & past = histories_[sequence];
    const auto first = static_cast<std::size_t>(span.first_position);
    if (past.tokens.size() < first) {
        past.tokens.resize(first, -1);
    }
    for (std::size_t i = 0; i < static_cast<std::size_t>(span.n_tokens); ++i) {
        const int32_t token = tokens != nullptr ? tokens[i] : -1;
        if (first + i < past.tokens.size() && past.tokens[first + i] != token) {
            past.tokens.resize(first + i);
            ++past.rewrites;
        }
        if (first + i == past.tokens.size()) {
            past.tokens.push_back(token);
        }
    }
    divide(past, span);
}

void batch_layout::divide(history & past, const sequence_span & span) {
    std::vector<part> & parts = past.parts;
    while (!parts.empty() && parts.back().begin >= span.first_position) {
        parts.pop_back();
    }
    const auto follow = [&](int32_t begin, bool generated) {
        if (parts.empty() || parts.back().generated != generated) {
            parts.push_back({begin, generated});
        }
    };
    const int32_t n_generated = span.generated ? span.n_tokens : span.n_carried;
    if (n_generated > 0) {
        follow(span.first_position, true);
        past.answer_begin = parts.back().begin;
    }
    if (n_generated < span.n_tokens) {
        follow(span.first_position + n_generated, false);
    }
}

}  // namespace llama_steer
