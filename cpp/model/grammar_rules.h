#pragma once

#include <cstdint>
#include <functional>
#include <string>
#include <vector>

namespace llama_steer {

/// One item of a sequence in a grammar.
struct grammar_item {
    enum class kind : uint8_t { characters, token, rule };
    kind what;
    uint32_t rule;  ///< number of the rule it stands for, if it is one
    uint64_t size;  ///< how many elements llama.cpp makes of it
};

using grammar_sequence = std::vector<grammar_item>;

struct grammar_rule {
    std::string name;  ///< empty: made of a group or a repetition
    bool defined = false;
    std::vector<grammar_sequence> alternatives;
};

/// What a grammar in llama.cpp's notation (GBNF) says, as far as it matters for what following it may cost: its rules
/// with all groups and repetitions written out as llama.cpp writes them out.
struct grammar_rules {
    std::vector<grammar_rule> rules;
    std::vector<int32_t> tokens;  ///< ids that it names (<[17]>, <|name|>), as they come
};

/// The token that a text such as "<|im_end|>" spells, -1 if it is not exactly one; and whether a grammar may name it.
using token_finder = std::function<int32_t(const std::string & text)>;
using token_checker = std::function<bool(int32_t token)>;

/// Reads UTF-8 text. Throws GRAMMAR_INVALID, with line and column, for everything that llama.cpp's parser refuses, and
/// for what makes it run away: a maximum below the minimum, more than 2000 repetitions (which it would take as any
/// number), groups nested deeper than 256, more than a million elements. Names without a rule are left to
/// check_grammar.
grammar_rules read_grammar(const std::string & text, const token_finder & find_token, const token_checker & may_name);

}  // namespace llama_steer
