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

grammar::grammar(const model & of, const grammar_source & source) {
    const grammar_rules rules = read(of, source.text);
    check_grammar(rules, source.root);

    const log_capture log;
    const assertions_throw guard;
    stage_.reset(llama_sampler_init_grammar(of.vocabulary(), source.text.c_str(), source.root.c_str()));
    if (stage_ == nullptr) {
        throw error(error_code::GRAMMAR_INVALID, "llama.cpp refuses the grammar: " + log.errors());
    }
    names_tokens_ = !rules.tokens.empty();
    for (int32_t token = 0; token < of.info().vocabulary_size; ++token) {
        const uint32_t attributes = llama_vocab_get_attr(of.vocabulary(), token);
        const bool shows_nothing = (attributes & (LLAMA_TOKEN_ATTR_CONTROL | LLAMA_TOKEN_ATTR_UNKNOWN)) != 0;
        if (shows_nothing && !llama_vocab_is_eog(of.vocabulary(), token) &&
            std::find(rules.tokens.begin(), rules.tokens.end(), token) == rules.tokens.end()) {
            hidden_.push_back(token);
        }
    }
}

void grammar::mask(llama_token_data_array & candidates) const {
    const assertions_throw guard;
    llama_sampler_apply(stage_.get(), &candidates);
    for (size_t i = 0; i < candidates.size; ++i) {
        if (std::binary_search(hidden_.begin(), hidden_.end(), candidates.data[i].id)) {
            candidates.data[i].logit = -INFINITY;
        }
    }
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
        return true;
    }
    // A token refused leaves upstream's state unusable: only a copy is tried.
    stage_pointer next(llama_sampler_clone(stage_.get()));
    try {
        llama_sampler_accept(next.get(), token);
    } catch (const std::exception &) {
        return false;
    }
    stage_ = std::move(next);
    return true;
}

}  // namespace llama_steer
