// Grammars: what is refused, that nothing which passes our checks makes llama.cpp fail or run away, and that choosing
// under a grammar is choosing among what it allows.

#include "model/grammar.h"
#include "check.h"
#include "model/sampler.h"
#include "testbed.h"

#include <algorithm>

using namespace llama_steer;

namespace {

const char * const json = R"(root ::= object
value ::= object | array | string | number | ("true" | "false" | "null") ws
object ::= "{" ws (string ":" ws value ("," ws string ":" ws value)*)? "}" ws
array ::= "[" ws (value ("," ws value)*)? "]" ws
string ::= "\"" ([^"\\\x7F\x00-\x1F] | "\\" (["\\/bfnrt] | "u" [0-9a-fA-F]{4}))* "\"" ws
number ::= ("-"? ([0-9] | [1-9] [0-9]{0,15})) ("." [0-9]+)? ([eE] [-+]? [0-9]{1,15})? ws
ws ::= | " " | "\n" [ \t]{0,20}
)";

const std::vector<std::string> good_grammars{
    json,
    "root ::= \"yes\" | \"no\"",
    "root ::= \"a\"\n",
    "root ::= \"a\"\r\n\r\nother ::= \"b\"",
    "# first\n  root ::= \"a\" # last\n#end",
    "root ::= ([a-z]+ | (\n \"x\" | [^\\]\\-a-c0]\n)?)* \".\"",
    "root::=x-1 x-1*\nx-1 ::= [\\x41-\\x5A] | \"\\u00e9\" | \"\\U0001F642\" | \"\\t\\r\\n\\\\\\\"\"",
    "root ::= \"\xC3\xA9\xE2\x82\xAC\xF0\x9F\x99\x82\" [\xC3\xA0-\xC3\xBF] .",
    "root ::= \"a\"{3} \"b\"{2,} \"c\"{0,5} \"d\"{ 1 , 2 } \"e\"{0}",
    "root ::= \"ab\"{2}{3}",
    "root ::= \"a\"{2000}",
    "root ::= (\"a\"{0,40}){0,40}",
    "root ::= \"\" | [] | \"x\"",
    "root ::= \"a\" | \"b\"\nroot ::= \"c\"",
    "root ::= <[65]> !<|im_start|> <|im_start|> .*",
    "root ::= ws* \"a\"\nws ::= [ ]*",
    "root ::= [a-] [-z] [^]",
    "root ::= \"a\n b\"",
    "root ::= x\nx ::= \"(\" x \")\" | \"\"",
};

struct bad_grammar {
    std::string text;
    const char * part;  ///< of the message
};

std::string repeat(const std::string & text, int times) {
    std::string result;
    for (int i = 0; i < times; ++i) {
        result += text;
    }
    return result;
}

/// Rules that call the next in two ways: 2^count ways from the first to the last.
std::string many_ways(int count) {
    std::string text;
    for (int i = 0; i < count; ++i) {
        const std::string next = "r" + std::to_string(i + 1);
        text +=
            (i == 0 ? std::string("root") : "r" + std::to_string(i)) + " ::= " + next + " \"a\" | " + next + " \"b\"\n";
    }
    return text + "r" + std::to_string(count) + " ::= \"c\"\n";
}

std::string long_chain(int count) {
    std::string text = "root ::= r1\n";
    for (int i = 1; i < count; ++i) {
        text += "r" + std::to_string(i) + " ::= r" + std::to_string(i + 1) + "\n";
    }
    return text + "r" + std::to_string(count) + " ::= \"c\"\n";
}

std::vector<bad_grammar> bad_grammars() {
    return {
        {"", "empty"},
        {" \n\t# only a comment", "empty"},
        {std::string("root ::= \"a\"\0\"b\"", 16), "NUL"},
        {"root", "line 1, column 5"},
        {"root := \"a\"", "line 1, column 7"},
        {"root ::= \"a", "has no end"},
        {"root ::= [a", "has no end"},
        {"root ::= [a-", "has no end"},
        {"root ::= (\"a\"", "')' is expected"},
        {"root ::= \"a\")", "end of the line"},
        {"root ::= \"a\"\n\n  | \"b\"", "line 3, column 3"},
        {"root ::= *", "nothing before"},
        {"root ::= \"\"*", "nothing before"},
        {"root ::= \"a\"{0}*", "nothing before"},
        {"root ::= \"\xC3\xA9\" \"\\q\"", "column 15"},
        {"root ::= \"\\x4\"", "2 hexadecimal"},
        {"root ::= \"\\u12g4\"", "4 hexadecimal"},
        {"root ::= \"\xE2\"\"", "UTF-8"},
        {"root ::= \"\x80\"", "UTF-8"},
        {"root ::= \"a\"{", "number of repetitions"},
        {"root ::= \"a\"{2", "'}'"},
        {"root ::= \"a\"{2;3}", "'}'"},
        {"root ::= \"a\"{3,2}", "below"},
        {"root ::= \"a\"{2001}", "2000"},
        {"root ::= \"a\"{0,99999999999999999999999}", "2000"},
        {"root ::= \"a\"{2000}{2000}", "within repetitions"},
        {"root ::= (\"a\"{0,100}){0,100}", "within repetitions"},
        {"root ::= \"" + repeat("a", 2000) + "\"{1000}", "too large"},
        {repeat("(", 100000), "name"},
        {"root ::= " + repeat("(", 100000), "nested"},
        {"root ::= other", "\"other\""},
        {"other ::= \"a\"", "\"root\""},
        {"a ::= root\na ::= \"x\"", "\"root\""},
        {"root ::= root", "left-recursive"},
        {"root ::= root \"a\" | \"b\"", "left-recursive"},
        {"root ::= x \"a\"\nx ::= y\ny ::= root | \"b\"", "left-recursive"},
        {"root ::= a root \"c\" | \"d\"\na ::= b\nb ::= \"\"", "left-recursive"},
        {"root ::= (\"a\"?)* root \"b\" | \"c\"", "left-recursive"},
        {"root ::= (\"a\" | )*", "left recursion"},
        {many_ways(60), "too many ways"},
        {long_chain(100000), "too"},
        {"root ::= <[899]>", "not in the vocabulary"},
        {"root ::= <[99999999999999999999]>", "not one token"},
        {"root ::= <[-1]>", "not one token"},
        {"root ::= <hello there>", "not one token"},
        {"root ::= <|im_start|", "has no end"},
        {"root ::= !\"a\"", "negated"},
        {"root ::= !", "negated"},
        {"root ::= <|im_end|>", "ends answers"},
        {"root ::= \xFF", "end of the line"},
    };
}

/// Draws of the same random numbers everywhere.
class draws {
public:
    explicit draws(uint64_t seed) : random_(seed) {}
    size_t below(size_t bound) { return static_cast<size_t>((random_() + 1) / 2 * static_cast<float>(bound)) % bound; }
    float logit() { return 8 * random_(); }

private:
    testbed::generator random_;
};

int32_t vocabulary_size() { return testbed::chat_model()->info().vocabulary_size; }

std::vector<float> random_logits(draws & random) {
    std::vector<float> logits(static_cast<size_t>(vocabulary_size()));
    std::generate(logits.begin(), logits.end(), [&] { return random.logit(); });
    return logits;
}

/// The greatest of the logits among those that the grammar allows, asked for one by one.
int32_t best_allowed(const grammar & rules, const std::vector<float> & logits) {
    int32_t best = -1;
    for (int32_t token = 0; token < vocabulary_size(); ++token) {
        const auto index = static_cast<size_t>(token);
        if (rules.allows(token) && (best < 0 || logits[index] > logits[static_cast<size_t>(best)])) {
            best = token;
        }
    }
    return best;
}

std::string text_of(const std::vector<int32_t> & tokens) {
    return detokenize(*testbed::chat_model(), tokens.data(), tokens.size(), false);
}

/// What random logits choose under a grammar until it ends, at most `limit` tokens.
std::vector<int32_t> random_answer(const sampler_options & options, uint64_t seed, int limit, bool & ended) {
    draws random(seed);
    sampler chooser(*testbed::chat_model(), options);
    std::vector<llama_token_data> scratch;
    std::vector<int32_t> tokens;
    for (ended = false; !ended && limit > 0; --limit) {
        const int32_t token = chooser.sample(random_logits(random).data(), scratch).token;
        ended = llama_vocab_is_eog(testbed::chat_model()->vocabulary(), token);
        if (!ended) {
            tokens.push_back(token);
        }
    }
    return tokens;
}

/// A number in the bits of one to four bytes of UTF-8, whether or not it is a character's.
std::string encoded(uint32_t value) {
    if (value < 0x80) {
        return {static_cast<char>(value)};
    }
    const int more = value < 0x800 ? 1 : value < 0x10000 ? 2 : 3;
    std::string bytes{static_cast<char>((0xFF00 >> (more + 1)) | (value >> (6 * more)))};
    for (int i = more - 1; i >= 0; --i) {
        bytes += static_cast<char>(0x80 | ((value >> (6 * i)) & 0x3F));
    }
    return bytes;
}

/// Decodes whole characters, and checks that each is written as `encoded` writes it.
bool count_utf8(const std::string & text, int & characters) {
    for (size_t i = 0; i < text.size(); ++characters) {
        const auto lead = static_cast<unsigned char>(text[i]);
        const size_t length = lead < 0x80 ? 1 : lead < 0xE0 ? 2 : lead < 0xF0 ? 3 : 4;
        uint32_t value = length == 1 ? lead : lead & (0x7FU >> length);
        for (size_t k = 1; k < length && i + k < text.size(); ++k) {
            value = (value << 6) | (static_cast<unsigned char>(text[i + k]) & 0x3F);
        }
        if (text.substr(i, length) != encoded(value) || (value >= 0xD800 && value < 0xE000) || value > 0x10FFFF) {
            return false;
        }
        i += length;
    }
    return true;
}

}  // namespace

TEST(grammars_that_llama_cpp_follows_are_taken) {
    for (const std::string & text : good_grammars) {
        try {
            const grammar made(*testbed::chat_model(), {text, "root"});
        } catch (const error & failure) {
            check::fail(__FILE__, __LINE__, text + ": " + failure.what());
        }
    }
    grammar(*testbed::chat_model(), {"a ::= \"x\"\nb ::= \"y\"", "b"});
    CHECK_THROWS_CODE(grammar(*testbed::chat_model(), {"a ::= (\"x\" \"y\")+", "a_1"}), error_code::GRAMMAR_INVALID);
}

TEST(bad_grammars_are_refused_with_the_place) {
    for (const bad_grammar & each : bad_grammars()) {
        const std::string message =
            CHECK_THROWS_CODE(grammar(*testbed::chat_model(), {each.text, "root"}), error_code::GRAMMAR_INVALID);
        if (message.find(each.part) == std::string::npos) {
            check::fail(__FILE__, __LINE__, each.text.substr(0, 60) + ": " + message + " has no " + each.part);
        }
    }
}

/// Grammars with characters removed, doubled, exchanged and taken from one another: refused by our own checks, or
/// followed for some tokens.
TEST(mutated_grammars_never_fail_within_llama_cpp) {
    const std::string alphabet = "()[]{}\"\\|*+?.,-:=<>!#^ \n0123456789ab";
    int taken = 0;
    int refused = 0;
    std::vector<llama_token_data> scratch;
    for (uint64_t seed = 0; seed < 6000; ++seed) {
        draws random(seed);
        std::string text = good_grammars[random.below(good_grammars.size())];
        for (size_t change = 0; change <= random.below(4); ++change) {
            const size_t place = random.below(text.size());
            const std::string & other = good_grammars[random.below(good_grammars.size())];
            switch (random.below(4)) {
                case 0:
                    text.erase(place, 1 + random.below(3));
                    break;
                case 1:
                    text[place] = alphabet[random.below(alphabet.size())];
                    break;
                case 2:
                    text.insert(place, 1, alphabet[random.below(alphabet.size())]);
                    break;
                default:
                    text.insert(place, other.substr(random.below(other.size()), random.below(12)));
            }
        }
        sampler_options options;
        options.grammar = grammar_source{text, "root"};
        std::optional<sampler> chooser;
        try {
            chooser.emplace(*testbed::chat_model(), options);
        } catch (const error & failure) {
            CHECK_EQ(failure.code(), error_code::GRAMMAR_INVALID);
            const std::string message = failure.what();
            const bool upstream = message.find("llama.cpp refuses") != std::string::npos;
            if (upstream && message.find("left recursion") == std::string::npos) {
                check::fail(__FILE__, __LINE__, "our checks let through: " + text + " (" + message + ")");
            }
            ++refused;
            continue;
        }
        ++taken;
        try {
            for (int i = 0; i < 4; ++i) {
                if (llama_vocab_is_eog(testbed::chat_model()->vocabulary(),
                                       chooser->sample(random_logits(random).data(), scratch).token)) {
                    break;
                }
            }
        } catch (const error & failure) {
            CHECK_EQ(failure.code(), error_code::NO_TOKEN_LEFT);
        }
    }
    CHECK(taken > 300);
    CHECK(refused > 1000);
}

TEST(greedy_takes_the_best_of_what_the_grammar_allows) {
    const float limit = -3;
    int fell_back = 0;
    for (const bool biased : {false, true}) {
        for (uint64_t seed = 0; seed < 20; ++seed) {
            sampler_options options;
            options.grammar = grammar_source{json, "root"};
            if (biased) {
                options.logit_bias = {{'{', limit}, {'"', -limit}, {' ', -INFINITY}};
            }
            sampler chooser(*testbed::chat_model(), options);
            grammar reference(*testbed::chat_model(), *options.grammar);
            draws random(seed);
            std::vector<llama_token_data> scratch;
            for (int i = 0; i < 30; ++i) {
                const std::vector<float> logits = random_logits(random);
                std::vector<float> expected = logits;
                for (const llama_logit_bias & each : options.logit_bias) {
                    expected[static_cast<size_t>(each.token)] += each.bias;
                }
                const int32_t best = best_allowed(reference, expected);
                CHECK_EQ(chooser.sample(logits.data(), scratch).token, best);
                fell_back += reference.allows(static_cast<int32_t>(std::max_element(expected.begin(), expected.end()) -
                                                                   expected.begin()))
                                 ? 0
                                 : 1;
                if (llama_vocab_is_eog(testbed::chat_model()->vocabulary(), best)) {
                    break;
                }
                CHECK(reference.accept(best));
            }
        }
    }
    CHECK(fell_back > 100);
}

/// The grammar comes first: the k best are those of what it allows.
TEST(filters_choose_among_what_the_grammar_allows) {
    for (uint64_t seed = 0; seed < 20; ++seed) {
        sampler_options options;
        options.grammar = grammar_source{json, "root"};
        sampler greedy(*testbed::chat_model(), options);
        options.temperature = 2;
        options.top_k = 1;
        sampler first(*testbed::chat_model(), options);
        draws random(seed);
        std::vector<llama_token_data> scratch;
        for (int i = 0; i < 20; ++i) {
            const std::vector<float> logits = random_logits(random);
            const int32_t token = greedy.sample(logits.data(), scratch).token;
            CHECK_EQ(first.sample(logits.data(), scratch).token, token);
            if (llama_vocab_is_eog(testbed::chat_model()->vocabulary(), token)) {
                break;
            }
        }
    }
}

TEST(sampling_draws_every_allowed_token_in_proportion) {
    sampler_options options;
    options.grammar = grammar_source{"root ::= [abc]*", "root"};
    options.temperature = 1;
    std::vector<float> logits(static_cast<size_t>(vocabulary_size()), 5.0F);
    logits['a'] = 1;
    logits['b'] = 2;
    logits['c'] = 3;
    std::vector<double> counts(3, 0);
    std::vector<llama_token_data> scratch;
    constexpr int n_draws = 3000;
    for (int i = 0; i < n_draws; ++i) {
        options.seed = static_cast<uint32_t>(i);
        // Of longer tokens and end tokens none.
        options.logit_bias.clear();
        for (int32_t token = 256; token < vocabulary_size(); ++token) {
            options.logit_bias.push_back({token, -INFINITY});
        }
        sampler chooser(*testbed::chat_model(), options);
        const sampled_token token = chooser.sample(logits.data(), scratch);
        CHECK(token.token >= 'a' && token.token <= 'c');
        counts[static_cast<size_t>(token.token - 'a')]++;
    }
    const double sum = std::exp(1) + std::exp(2) + std::exp(3);
    for (int i = 0; i < 3; ++i) {
        const double p = std::exp(1 + i) / sum;
        // Four standard deviations.
        CHECK_NEAR(counts[static_cast<size_t>(i)] / n_draws, p, 4 * std::sqrt(p * (1 - p) / n_draws));
    }
}

TEST(a_complete_grammar_leaves_end_tokens_only) {
    for (uint64_t seed = 0; seed < 50; ++seed) {
        for (const float temperature : {0.0F, 1.0F}) {
            sampler_options options;
            options.grammar = grammar_source{"root ::= \"the \" (\"cat\" | \"dog\") \"s\"?", "root"};
            options.temperature = temperature;
            options.seed = static_cast<uint32_t>(seed);
            bool ended = false;
            const std::string text = text_of(random_answer(options, seed, 20, ended));
            CHECK(ended);
            CHECK(text == "the cat" || text == "the dog" || text == "the cats" || text == "the dogs");
        }
    }
}

/// Tokens that show no text are none of a character's: only a grammar that names one allows it.
TEST(control_tokens_come_only_where_the_grammar_names_them) {
    const std::vector<int32_t> start = tokenize(*testbed::chat_model(), "<|im_start|>", {false, true});
    CHECK_EQ(start.size(), 1U);
    CHECK(!grammar(*testbed::chat_model(), {"root ::= .*", "root"}).allows(start[0]));
    CHECK(!grammar(*testbed::chat_model(), {"root ::= !<[65]>", "root"}).allows(start[0]));
    grammar named(*testbed::chat_model(), {"root ::= <|im_start|> \"A\"", "root"});
    CHECK(named.allows(start[0]));
    CHECK(!named.allows('A'));
    CHECK(named.accept(start[0]));
    CHECK(named.allows('A'));
    CHECK(!named.allows(start[0]));
}

/// llama.cpp's mask lets "an" through here, since it begins with an "a" and is not token 65; its state cannot follow.
TEST(a_token_that_the_mask_lets_through_and_the_state_refuses_is_passed_over) {
    sampler_options options;
    options.grammar = grammar_source{"root ::= \"a\" !<[65]> \"z\"", "root"};
    const std::vector<int32_t> an = tokenize(*testbed::chat_model(), "an", {});
    CHECK_EQ(an.size(), 1U);
    CHECK(grammar(*testbed::chat_model(), *options.grammar).allows(an[0]));
    CHECK(!grammar(*testbed::chat_model(), *options.grammar).accept(an[0]));
    for (uint64_t seed = 0; seed < 40; ++seed) {
        options.temperature = seed % 2 == 0 ? 0.0F : 1.0F;
        options.seed = static_cast<uint32_t>(seed);
        bool ended = false;
        const std::vector<int32_t> tokens = random_answer(options, seed, 10, ended);
        CHECK(ended);
        CHECK_EQ(tokens.size(), 3U);
        CHECK_EQ(tokens.front(), 'a');
        CHECK(tokens[1] != 65);
        CHECK_EQ(tokens.back(), 'z');
    }
}

TEST(no_token_left_is_an_error_of_its_own) {
    std::vector<llama_token_data> scratch;
    draws random(1);
    const std::vector<float> logits = random_logits(random);
    sampler_options options;
    options.grammar = grammar_source{"root ::= \"a\" [z-b]", "root"};
    for (const float temperature : {0.0F, 1.0F}) {
        options.temperature = temperature;
        sampler chooser(*testbed::chat_model(), options);
        CHECK_EQ(chooser.sample(logits.data(), scratch).token, 'a');
        CHECK_THROWS_CODE(chooser.sample(logits.data(), scratch), error_code::NO_TOKEN_LEFT);
        CHECK_THROWS_CODE(chooser.sample(logits.data(), scratch), error_code::NO_TOKEN_LEFT);
    }
    options.grammar.reset();
    for (int32_t token = 0; token < vocabulary_size(); ++token) {
        options.logit_bias.push_back({token, -INFINITY});
    }
    sampler chooser(*testbed::chat_model(), options);
    CHECK_THROWS_CODE(chooser.sample(logits.data(), scratch), error_code::NO_TOKEN_LEFT);
}

/// llama.cpp's mask takes bytes for characters that are none: overlong forms, surrogates, beyond U+10FFFF.
TEST(text_under_a_grammar_is_utf8) {
    for (const char * text : {"root ::= [^\\x00-\\x7F]{4}", "root ::= .{4}", "root ::= [\\u0800-\\uFFFF]{4}"}) {
        for (uint64_t seed = 0; seed < 150; ++seed) {
            sampler_options options;
            options.grammar = grammar_source{text, "root"};
            options.temperature = 1;
            options.seed = static_cast<uint32_t>(seed);
            bool ended = false;
            const std::string answer = text_of(random_answer(options, seed, 40, ended));
            CHECK(ended);
            int characters = 0;
            CHECK(count_utf8(answer, characters));
            CHECK_EQ(characters, 4);
        }
    }
}

TEST(utf8_is_told_byte_by_byte) {
    for (uint32_t value = 0; value < 0x120000; ++value) {
        const std::string bytes = encoded(value);
        utf8_state state;
        bool valid = true;
        for (size_t i = 0; valid && i < bytes.size(); ++i) {
            valid = state.read(bytes[i]);
            CHECK(!valid || state.partial() == (i + 1 < bytes.size()));
        }
        if (valid != (value < 0xD800 || (value > 0xDFFF && value < 0x110000))) {
            check::fail(__FILE__, __LINE__, "code point " + std::to_string(value));
        }
    }
    for (const char * overlong : {"\xC0\x80", "\xC1\xBF", "\xE0\x9F\xBF", "\xF0\x8F\xBF\xBF", "\x80", "\xF5", "\xFF"}) {
        CHECK(!utf8_state().read(overlong));
    }
}
