#pragma once

#include "model/grammar_rules.h"

#include <string>

namespace llama_steer {

/// Refuses what llama.cpp would follow without end, or not at all: names without a rule, no rule `root`, left recursion
/// (also through rules that may be empty), and rules that lead into one another in too many ways or too deeply. Its own
/// check overlooks some of these, takes exponential time for others, and reads beyond its rules for one.
/// Throws GRAMMAR_INVALID, naming the rule. Time grows with the grammar's size.
void check_grammar(const grammar_rules & grammar, const std::string & root);

}  // namespace llama_steer
