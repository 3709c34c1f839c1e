#include "model/grammar_rules.h"

#include "base/error.h"

#include <algorithm>
#include <map>
#include <optional>

namespace llama_steer {

namespace {

constexpr uint64_t max_repetitions = 2000;
constexpr uint64_t max_elements = 1000000;
constexpr int max_nesting = 256;

bool is_digit(char c) { return c >= '0' && c <= '9'; }
bool is_hex(char c) { return is_digit(c) || (c >= 'a' && c <= 'f') || (c >= 'A' && c <= 'F'); }
bool is_name(char c) { return is_digit(c) || (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || c == '-'; }
bool is_continuation(char c) { return (static_cast<unsigned char>(c) & 0xC0) == 0x80; }

class reader {
public:
    reader(const std::string & text, const token_finder & find_token, const token_checker & may_name)
        : text_(text), find_token_(find_token), may_name_(may_name) {}

    grammar_rules read() {
        if (text_.find('\0') != std::string::npos) {
            throw error(error_code::GRAMMAR_INVALID, "the grammar contains a NUL character");
        }
        skip_space(true);
        if (at_end()) {
            throw error(error_code::GRAMMAR_INVALID, "the grammar is empty: it needs rules, such as root ::= \"yes\"");
        }
        while (!at_end()) {
            read_rule();
        }
        return std::move(result_);
    }

private:
    /// What a quantifier applies to: the end of a sequence from `begin` on.
    struct quantified {
        size_t begin;
        uint64_t rules;  ///< made for it so far, which llama.cpp bounds
    };

    char at(size_t offset = 0) const { return place_ + offset < text_.size() ? text_[place_ + offset] : '\0'; }
    bool at_end() const { return place_ >= text_.size(); }

    [[noreturn]] void fail(const std::string & what) const {
        const auto begin = text_.begin();
        const auto place = begin + static_cast<std::ptrdiff_t>(std::min(place_, text_.size()));
        const auto line = std::count(begin, place, '\n') + 1;
        const size_t start = place_ == 0 ? std::string::npos : text_.rfind('\n', place_ - 1);
        const auto line_begin = start == std::string::npos ? begin : begin + static_cast<std::ptrdiff_t>(start + 1);
        const auto column = std::count_if(line_begin, place, [](char c) { return !is_continuation(c); }) + 1;
        throw error(error_code::GRAMMAR_INVALID, "the grammar cannot be parsed: line " + std::to_string(line) +
                                                     ", column " + std::to_string(column) + ": " + what);
    }

    void expect(char c, const char * where) {
        if (at() != c || at_end()) {
            fail(std::string("'") + c + "' is expected " + where);
        }
        ++place_;
    }

    /// Blanks and comments; line ends only where a rule may go on behind them.
    void skip_space(bool lines) {
        for (;; ++place_) {
            if (at() == '#') {
                while (!at_end() && at() != '\r' && at() != '\n') {
                    ++place_;
                }
            }
            if (at() != ' ' && at() != '\t' && !(lines && (at() == '\r' || at() == '\n'))) {
                return;
            }
        }
    }

    std::string read_name() {
        const size_t begin = place_;
        while (is_name(at())) {
            ++place_;
        }
        if (place_ == begin) {
            fail("the name of a rule is expected, of letters, digits and '-'");
        }
        return text_.substr(begin, place_ - begin);
    }

    uint32_t rule_named(const std::string & name) {
        const auto [found, added] = numbers_.emplace(name, static_cast<uint32_t>(result_.rules.size()));
        if (added) {
            result_.rules.push_back({name, false, {}});
        }
        return found->second;
    }

    uint32_t make_rule() {
        result_.rules.push_back({});
        return static_cast<uint32_t>(result_.rules.size() - 1);
    }

    void define(uint32_t rule, std::vector<grammar_sequence> alternatives) {
        result_.rules[rule].alternatives = std::move(alternatives);
        result_.rules[rule].defined = true;
    }

    void count(uint64_t elements) {
        elements_ += elements;
        if (elements_ > max_elements) {
            fail("the grammar is too large with all repetitions written out: shorten it");
        }
    }

    void read_rule() {
        const uint32_t rule = rule_named(read_name());
        skip_space(false);
        for (const char c : {':', ':', '='}) {
            expect(c, "(a rule is written name ::= ...)");
        }
        skip_space(true);
        define(rule, read_alternatives(0));
        if (!at_end() && at() != '\r' && at() != '\n') {
            fail("the end of the line is expected; only what is within ( ) goes on in the next");
        }
        skip_space(true);
    }

    std::vector<grammar_sequence> read_alternatives(int nesting) {
        std::vector<grammar_sequence> alternatives{read_sequence(nesting)};
        while (at() == '|') {
            ++place_;
            skip_space(true);
            alternatives.push_back(read_sequence(nesting));
        }
        return alternatives;
    }

    grammar_sequence read_sequence(int nesting) {
        grammar_sequence sequence;
        quantified last{0, 1};
        count(1);
        while (!at_end() && read_item(sequence, last, nesting)) {
            skip_space(nesting > 0);
        }
        return sequence;
    }

    /// Returns false at what does not belong to a sequence any more.
    bool read_item(grammar_sequence & sequence, quantified & last, int nesting) {
        if (at() == '*' || at() == '+' || at() == '?' || at() == '{') {
            read_quantifier(sequence, last, nesting);
            return true;
        }
        std::optional<grammar_item> item;
        const size_t rules_before = result_.rules.size();
        uint64_t made = 1;
        if (at() == '"') {
            item = {grammar_item::kind::characters, 0, read_literal()};
        } else if (at() == '[') {
            item = {grammar_item::kind::characters, 0, read_class()};
        } else if (at() == '.') {
            ++place_;
            item = {grammar_item::kind::characters, 0, 1};
        } else if (at() == '<' || at() == '!') {
            read_token();
            item = {grammar_item::kind::token, 0, 1};
        } else if (at() == '(') {
            item = {grammar_item::kind::rule, read_group(nesting), 1};
            made = result_.rules.size() - rules_before;
        } else if (is_name(at())) {
            item = {grammar_item::kind::rule, rule_named(read_name()), 1};
        } else {
            return false;
        }
        last = {sequence.size(), made};
        if (item->size > 0) {
            count(item->size);
            sequence.push_back(*item);
        }
        return true;
    }

    uint32_t read_group(int nesting) {
        if (nesting == max_nesting) {
            fail("groups are nested too deeply: give the inner ones names as rules");
        }
        ++place_;
        skip_space(true);
        const uint32_t rule = make_rule();
        define(rule, read_alternatives(nesting + 1));
        expect(')', "to end the group");
        return rule;
    }

    uint64_t read_literal() {
        uint64_t size = 0;
        for (++place_; at() != '"'; ++size) {
            read_character("the string has no end: '\"' is expected");
        }
        ++place_;
        return size;
    }

    uint64_t read_class() {
        static constexpr const char * endless = "the character class has no end: ']' is expected";
        uint64_t size = 0;
        place_ += at(1) == '^' ? 2 : 1;
        while (at() != ']') {
            read_character(endless);
            ++size;
            if (at() == '-' && at(1) != ']') {
                ++place_;
                read_character(endless);
                ++size;
            }
        }
        ++place_;
        return size;
    }

    void read_character(const char * endless) {
        if (at_end()) {
            fail(endless);
        }
        if (at() == '\\') {
            read_escape();
            return;
        }
        const auto lead = static_cast<unsigned char>(at());
        const size_t length = lead < 0xC0 ? 1 : lead < 0xE0 ? 2 : lead < 0xF0 ? 3 : 4;
        bool valid = !is_continuation(at());
        for (size_t i = 1; i < length; ++i) {
            valid = valid && is_continuation(at(i));
        }
        if (!valid) {
            fail("the text is not UTF-8");
        }
        place_ += length;
    }

    void read_escape() {
        static const std::string plain = "trn\\\"[]-";
        const char escaped = at(1);
        const size_t digits = escaped == 'x' ? 2 : escaped == 'u' ? 4 : escaped == 'U' ? 8 : 0;
        if (digits == 0 && (escaped == '\0' || plain.find(escaped) == std::string::npos)) {
            fail("unknown escape: there are \\n \\r \\t \\\\ \\\" \\[ \\] \\- \\xHH \\uHHHH \\UHHHHHHHH");
        }
        for (size_t i = 0; i < digits; ++i) {
            if (!is_hex(at(2 + i))) {
                fail("the escape needs " + std::to_string(digits) + " hexadecimal digits");
            }
        }
        place_ += 2 + digits;
    }

    void read_token() {
        const size_t begin = at() == '!' ? place_ + 1 : place_;
        if (begin >= text_.size() || text_[begin] != '<') {
            fail("'<' is expected behind '!': only a token can be negated");
        }
        const size_t end = text_.find('>', begin);
        if (end == std::string::npos) {
            fail("the token has no end: '>' is expected");
        }
        const std::string spelled = text_.substr(begin, end + 1 - begin);
        const int32_t token = spelled[1] == '[' ? numbered_token(spelled) : find_token_(spelled);
        if (token < 0) {
            fail(spelled + " is not one token of the vocabulary");
        }
        if (!may_name_(token)) {
            fail(spelled + " ends answers, which a grammar does by being complete: leave it out");
        }
        result_.tokens.push_back(token);
        place_ = end + 1;
    }

    /// Of "<[17]>"; -1 if it is not written so.
    int32_t numbered_token(const std::string & spelled) const {
        const std::string digits = spelled.substr(2, spelled.size() < 4 ? 0 : spelled.size() - 4);
        const bool valid = spelled.compare(spelled.size() - 2, 2, "]>") == 0 && !digits.empty() && digits.size() < 10 &&
                           std::all_of(digits.begin(), digits.end(), is_digit);
        return valid ? std::stoi(digits) : -1;
    }

    void read_quantifier(grammar_sequence & sequence, quantified & last, int nesting) {
        uint64_t least = at() == '+' ? 1 : 0;
        std::optional<uint64_t> most = at() == '?' ? std::optional<uint64_t>(1) : std::nullopt;
        if (at() == '{') {
            const bool lines = nesting > 0;
            ++place_;
            skip_space(lines);
            least = read_count();
            skip_space(lines);
            most = least;
            if (at() == ',') {
                ++place_;
                skip_space(lines);
                most = is_digit(at()) ? std::optional<uint64_t>(read_count()) : std::nullopt;
                skip_space(lines);
            }
            if (at() != '}') {
                fail("'}' is expected (repetitions are written {2}, {2,} or {2,5})");
            }
            if (most && *most < least) {
                fail("the largest number of repetitions is below the smallest");
            }
        }
        ++place_;
        repeat(sequence, last, least, most);
    }

    uint64_t read_count() {
        if (!is_digit(at())) {
            fail("a number of repetitions is expected");
        }
        uint64_t number = 0;
        for (; is_digit(at()); ++place_) {
            number = std::min(number * 10 + static_cast<uint64_t>(at() - '0'), max_repetitions + 1);
        }
        if (number > max_repetitions) {
            fail("more than 2000 repetitions: leave the largest number out, {n,}, or make groups of groups");
        }
        return number;
    }

    /// S{2,4} is written S S A with A ::= S B | (nothing), B ::= S | (nothing); S{2,} is S S A with A ::= S A |
    /// (nothing).
    void repeat(grammar_sequence & sequence, quantified & last, uint64_t least, std::optional<uint64_t> most) {
        if (last.begin == sequence.size()) {
            fail("there is nothing before the quantifier that it could repeat");
        }
        const uint64_t times = std::max<uint64_t>(most ? *most : least, 1);
        if (last.rules * times > max_repetitions) {
            fail("too many repetitions within repetitions: lower their numbers");
        }
        last.rules *= times;
        const grammar_sequence repeated(sequence.begin() + static_cast<std::ptrdiff_t>(last.begin), sequence.end());
        uint64_t size = 0;
        for (const grammar_item & item : repeated) {
            size += item.size;
        }
        const uint64_t optional = most ? *most - least : 1;
        count(size * (std::max<uint64_t>(least, 1) - 1) + (size + 2) * optional);
        if (least == 0) {
            sequence.resize(last.begin);
        }
        for (uint64_t i = 1; i < least; ++i) {
            sequence.insert(sequence.end(), repeated.begin(), repeated.end());
        }
        uint32_t tail = 0;
        for (uint64_t i = 0; i < optional; ++i) {
            const uint32_t rule = make_rule();
            grammar_sequence once = repeated;
            if (i > 0 || !most) {
                once.push_back({grammar_item::kind::rule, most ? tail : rule, 1});
            }
            define(rule, {std::move(once), {}});
            tail = rule;
        }
        if (optional > 0) {
            sequence.push_back({grammar_item::kind::rule, tail, 1});
        }
    }

    const std::string & text_;
    const token_finder & find_token_;
    const token_checker & may_name_;
    size_t place_ = 0;
    uint64_t elements_ = 0;
    std::map<std::string, uint32_t> numbers_;
    grammar_rules result_;
};

}  // namespace

grammar_rules read_grammar(const std::string & text, const token_finder & find_token, const token_checker & may_name) {
    return reader(text, find_token, may_name).read();
}

}  // namespace llama_steer
