#include "model/grammar.h"

#include "base/error.h"
#include "model/assertions.h"
#include "model/grammar_check.h"
#include "model/grammar_rules.h"
#include "model/log.h"
#include "model/tokenizer.h"

#include <algorithm>
#include <cmath>
#include <exception>

namespace llama_steer {

namespace {

grammar_rules read(const model & of, const std::string & text) {
    const auto find_token = [&](const std::string & spelled) {
        const std::vector<int32_t> tokens = tokenize(of, spelled, {false, true});
        return tokens.size() == 1 ? tokens[0] : -1;
    };
    const auto may_name = [&](int32_t token) {
        if (token >= of.info().vocabulary_size) {
            throw error(error_code::GRAMMAR_INVALID, "the grammar names token " + std::to_string(token) +
                                                         ", which is not in the vocabulary (0 to " +
                                                         std::to_string(of.info().vocabulary_size - 1) + ")");
        }
        return !llama_vocab_is_eog(of.vocabulary(), token);
    };
    return read_grammar(text, find_token, may_name);
}

}  // namespace

grammar::grammar(const model & of, const grammar_source & source) : source_(of) {
    const grammar_rules rules = read(of, source.text);
    check_grammar(rules, source.root);

    const log_capture log;
    const assertions_throw guard;
    stage_.reset(llama_sampler_init_grammar(of.vocabulary(), source.text.c_str(), source.root.c_str()));
    if (stage_ == nullptr) {
        throw error(error_code::GRAMMAR_INVALID, "llama.cpp refuses the grammar: " + log.errors());
    }
    names_tokens_ = !rules.tokens.empty();
    sort_tokens(rules.tokens);
}

void grammar::sort_tokens(std::vector<int32_t> named) {
    std::sort(named.begin(), named.end());
    std::string bytes;
    for (int32_t token = 0; token < source_.info().vocabulary_size; ++token) {
        if (llama_vocab_is_eog(source_.vocabulary(), token) || std::binary_search(named.begin(), named.end(), token)) {
            continue;
        }
        token_bytes(source_, token, false, bytes);
        if (!bytes.empty() && (static_cast<unsigned char>(bytes[0]) & 0xC0) == 0x80) {
            continuations_.push_back({token, bytes});
        } else if (bytes.empty() || !utf8_state().read(bytes)) {
            never_.push_back(token);
        }
    }
}

void grammar::mask(llama_token_data_array & candidates) const {
    const assertions_throw guard;
    llama_sampler_apply(stage_.get(), &candidates);
    for (size_t i = 0; i < candidates.size; ++i) {
        llama_token_data & each = candidates.data[i];
        if (each.logit != -INFINITY &&
            (std::binary_search(never_.begin(), never_.end(), each.id) || (text_.partial() && !continues(each.id)))) {
            each.logit = -INFINITY;
        }
    }
}

/// Whether a token goes on with the character that the text ends within.
bool grammar::continues(int32_t token) const {
    const auto found = std::lower_bound(continuations_.begin(), continuations_.end(), token,
                                        [](const continuation & each, int32_t wanted) { return each.token < wanted; });
    return found != continuations_.end() && found->token == token && utf8_state(text_).read(found->bytes);
}

bool grammar::allows(int32_t token) const {
    llama_token_data candidate{token, 0.0F, 0.0F};
    llama_token_data_array one{&candidate, 1, -1, false};
    mask(one);
    return candidate.logit == 0.0F;
}

bool grammar::accept(int32_t token) {
    const assertions_throw guard;
    if (!names_tokens_) {
        llama_sampler_accept(stage_.get(), token);
    } else {
        // A token refused leaves upstream's state unusable: only a copy is tried.
        stage_pointer next(llama_sampler_clone(stage_.get()));
        try {
            llama_sampler_accept(next.get(), token);
        } catch (const std::exception &) {
            return false;
        }
        stage_ = std::move(next);
    }
    token_bytes(source_, token, false, bytes_);
    text_.read(bytes_);
    return true;
}

}  // namespace llama_steer
