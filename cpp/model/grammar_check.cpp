#include "model/grammar_check.h"

#include "base/error.h"

#include <algorithm>

namespace llama_steer {

namespace {

// What llama.cpp's search for left recursion, which remembers nothing, walks through in all, and how deep it calls
// itself.
constexpr uint64_t max_walk = 2000000;
constexpr uint32_t max_depth = 2000;

using rule_numbers = std::vector<uint32_t>;

[[noreturn]] void fail(const std::string & what) { throw error(error_code::GRAMMAR_INVALID, what); }

void check_names(const grammar_rules & grammar, const std::string & root) {
    for (const grammar_rule & rule : grammar.rules) {
        if (!rule.defined) {
            fail("the grammar uses a rule \"" + rule.name + "\" and does not define it");
        }
    }
    const auto found = std::find_if(grammar.rules.begin(), grammar.rules.end(),
                                    [&](const grammar_rule & rule) { return !rule.name.empty() && rule.name == root; });
    if (found == grammar.rules.end()) {
        fail("the grammar has no rule \"" + root + "\" to begin with: name it so, or give another grammarRoot");
    }
}

/// Which rules can stand for nothing. Every item is looked at once: an alternative is empty when the last of its rules
/// has proved to be.
std::vector<bool> empty_rules(const grammar_rules & grammar) {
    struct alternative {
        uint32_t rule;
        size_t open;  ///< items not known to be possibly empty
    };
    std::vector<alternative> alternatives;
    std::vector<std::vector<size_t>> users(grammar.rules.size());
    std::vector<bool> empty(grammar.rules.size(), false);
    rule_numbers found;
    const auto mark = [&](uint32_t rule) {
        if (!empty[rule]) {
            empty[rule] = true;
            found.push_back(rule);
        }
    };
    for (uint32_t rule = 0; rule < grammar.rules.size(); ++rule) {
        for (const grammar_sequence & sequence : grammar.rules[rule].alternatives) {
            const bool spells = std::any_of(sequence.begin(), sequence.end(), [](const grammar_item & item) {
                return item.what != grammar_item::kind::rule;
            });
            if (spells) {
                continue;
            }
            for (const grammar_item & item : sequence) {
                users[item.rule].push_back(alternatives.size());
            }
            alternatives.push_back({rule, sequence.size()});
            if (sequence.empty()) {
                mark(rule);
            }
        }
    }
    while (!found.empty()) {
        const uint32_t rule = found.back();
        found.pop_back();
        for (const size_t user : users[rule]) {
            if (--alternatives[user].open == 0) {
                mark(alternatives[user].rule);
            }
        }
    }
    return empty;
}

/// The rules that each rule can begin with. That one ends in itself, behind what may be empty, is left out: llama.cpp
/// comes round to the same place and stops there.
std::vector<rule_numbers> beginnings(const grammar_rules & grammar) {
    const std::vector<bool> empty = empty_rules(grammar);
    std::vector<rule_numbers> first(grammar.rules.size());
    for (uint32_t rule = 0; rule < grammar.rules.size(); ++rule) {
        for (const grammar_sequence & sequence : grammar.rules[rule].alternatives) {
            for (size_t i = 0; i < sequence.size() && sequence[i].what == grammar_item::kind::rule; ++i) {
                const uint32_t next = sequence[i].rule;
                const bool comes_round = next == rule && i + 1 == sequence.size() && i > 0;
                if (!comes_round) {
                    first[rule].push_back(next);
                }
                if (!empty[next]) {
                    break;
                }
            }
        }
    }
    return first;
}

/// Walks depth first, without recursion, and counts in how many ways each rule begins.
class descent {
public:
    descent(const grammar_rules & grammar, const std::vector<rule_numbers> & first)
        : grammar_(grammar), first_(first), states_(first.size()) {}

    void run() {
        uint64_t walk = 0;
        for (uint32_t rule = 0; rule < states_.size(); ++rule) {
            visit(rule);
            walk += states_[rule].ways;
            if (walk > max_walk) {
                fail("the grammar's rules" + at(rule) + " lead into one another in too many ways: simplify them");
            }
        }
    }

private:
    enum class progress : uint8_t { none, begun, done };
    struct state {
        progress where = progress::none;
        size_t next = 0;
        uint32_t depth = 1;
        uint64_t ways = 1;
    };

    void visit(uint32_t start) {
        if (states_[start].where == progress::none) {
            enter(start);
        }
        while (!open_.empty()) {
            const uint32_t rule = open_.back();
            state & here = states_[rule];
            if (here.next == first_[rule].size()) {
                here.where = progress::done;
                open_.pop_back();
                continue;
            }
            const uint32_t into = first_[rule][here.next];
            if (states_[into].where == progress::begun) {
                fail("the grammar's rules" + at(into) +
                     " are left-recursive, and could begin with themselves without end: write repetitions with * or +, "
                     "or put what differs first");
            }
            if (states_[into].where == progress::none) {
                enter(into);
                continue;
            }
            ++here.next;
            here.ways = std::min(here.ways + states_[into].ways, max_walk + 1);
            here.depth = std::max(here.depth, states_[into].depth + 1);
            if (here.depth > max_depth) {
                fail("the grammar's rules" + at(rule) + " lead into one another too deeply: simplify them");
            }
        }
    }

    void enter(uint32_t rule) {
        states_[rule].where = progress::begun;
        open_.push_back(rule);
    }

    /// The first rule with a name of the user's, from those being walked through.
    std::string at(uint32_t rule) const {
        if (!grammar_.rules[rule].name.empty()) {
            return " (at \"" + grammar_.rules[rule].name + "\")";
        }
        const auto named = std::find_if(open_.rbegin(), open_.rend(),
                                        [&](uint32_t each) { return !grammar_.rules[each].name.empty(); });
        return named == open_.rend() ? "" : " (at \"" + grammar_.rules[*named].name + "\")";
    }

    const grammar_rules & grammar_;
    const std::vector<rule_numbers> & first_;
    std::vector<state> states_;
    rule_numbers open_;
};

}  // namespace

void check_grammar(const grammar_rules & grammar, const std::string & root) {
    check_names(grammar, root);
    const std::vector<rule_numbers> first = beginnings(grammar);
    descent(grammar, first).run();
}

}  // namespace llama_steer
