#pragma once

#include "base/utf8_state.h"
#include "model/model.h"

#include <cstdint>
#include <memory>
#include <string>
#include <vector>

namespace llama_steer {

/// A grammar in llama.cpp's notation (GBNF), as its user gives it.
struct grammar_source {
    std::string text;
    std::string root = "root";  ///< the rule that an answer must match
};

/// Where an answer stands in its grammar. Control tokens, whose text no answer shows, are possible only where the
/// grammar names them, and bytes only where they go on as UTF-8: llama.cpp's own mask minds neither. One thread at a
/// time.
class grammar {
public:
    /// Throws GRAMMAR_INVALID. `of` must outlive it.
    grammar(const model & of, const grammar_source & source);

    /// Sets the logits of the tokens that cannot come next to -infinity. The model's end tokens can where the answer is
    /// complete.
    void mask(llama_token_data_array & candidates) const;
    bool allows(int32_t token) const;

    /// Goes on by a token that mask has left. Returns false, and stays where it is, if it cannot come next after all:
    /// where characters meet named tokens, mask lets tokens through that do both.
    bool accept(int32_t token);

private:
    struct deleter {
        void operator()(llama_sampler * stage) const { llama_sampler_free(stage); }
    };
    using stage_pointer = std::unique_ptr<llama_sampler, deleter>;

    /// A token that begins within a character.
    struct continuation {
        int32_t token;
        std::string bytes;
    };

    void sort_tokens(std::vector<int32_t> named);
    bool continues(int32_t token) const;

    const model & source_;
    stage_pointer stage_;
    std::vector<int32_t> never_;               ///< neither text nor named, or no UTF-8; ascending
    std::vector<continuation> continuations_;  ///< ascending
    utf8_state text_;
    std::string bytes_;  ///< of the token accepted
    bool names_tokens_ = false;
};

}  // namespace llama_steer
