// Stop strings: against a naive search in the whole text, with random strings, texts and pieces.

#include "base/stop_matcher.h"
#include "check.h"
#include "engine/stop_filter.h"
#include "testbed.h"

#include <algorithm>

using namespace llama_steer;

namespace {

bool ends_with(const std::string & text, const std::string & end) {
    return text.size() >= end.size() && text.compare(text.size() - end.size(), end.size(), end) == 0;
}

struct found_stop {
    size_t end = std::string::npos;
    size_t begin = std::string::npos;
    int32_t string = -1;
};

/// Every beginning of the text in turn: the first that ends in one of the strings, and the longest such string.
found_stop naive_search(const std::string & text, const std::vector<std::string> & strings) {
    for (size_t end = 1; end <= text.size(); ++end) {
        found_stop found;
        for (size_t i = 0; i < strings.size(); ++i) {
            if (ends_with(text.substr(0, end), strings[i]) &&
                (found.string < 0 || end - strings[i].size() < found.begin)) {
                found = {end, end - strings[i].size(), static_cast<int32_t>(i)};
            }
        }
        if (found.string >= 0) {
            return found;
        }
    }
    return {};
}

size_t naive_decided(const std::string & text, const std::vector<std::string> & strings) {
    size_t open = 0;
    for (const std::string & string : strings) {
        for (size_t length = 1; length < string.size(); ++length) {
            if (ends_with(text, string.substr(0, length))) {
                open = std::max(open, length);
            }
        }
    }
    return text.size() - open;
}

/// Random numbers below a bound, and words of few letters, in which strings overlap in every way.
class word_source {
public:
    explicit word_source(uint64_t seed) : random_(seed) {}
    size_t below(size_t bound) { return static_cast<size_t>((random_() + 1) / 2 * static_cast<float>(bound)) % bound; }
    std::string word(size_t length, size_t letters) {
        std::string result;
        for (size_t i = 0; i < length; ++i) {
            result += static_cast<char>('a' + below(letters));
        }
        return result;
    }

private:
    testbed::generator random_;
};

}  // namespace

TEST(stop_strings_are_found_as_by_a_naive_search) {
    int hits = 0;
    for (uint64_t seed = 0; seed < 4000; ++seed) {
        word_source source(seed);
        const size_t letters = 1 + source.below(3);
        std::vector<std::string> strings;
        for (size_t i = 0; i <= source.below(4); ++i) {
            strings.push_back(source.word(1 + source.below(6), letters + 1));
        }
        const std::string text = source.word(source.below(40), letters);
        const found_stop expected = naive_search(text, strings);

        stop_matcher matcher(strings);
        std::optional<stop_matcher::match> match;
        size_t begin = 0;
        while (begin < text.size() && !match) {
            const size_t count = std::min(source.below(5), text.size() - begin);
            match = matcher.read(text.data() + begin, count);
            begin += count;
            if (!match) {
                CHECK_EQ(matcher.decided(), naive_decided(text.substr(0, begin), strings));
            }
        }
        CHECK_EQ(match.has_value(), expected.string >= 0);
        if (match && expected.string >= 0) {
            CHECK_EQ(match->begin, expected.begin);
            CHECK(strings[match->string] == strings[static_cast<size_t>(expected.string)]);
            CHECK(begin >= expected.end);
            ++hits;
        }
    }
    CHECK(hits > 1000);
    CHECK(hits < 4000);
}

/// Tokens come out in order, at the latest when they are decided, at the earliest then; of the one that a string begins
/// in the text before it, of later ones nothing.
TEST(the_filter_cuts_tokens_where_a_naive_search_does) {
    int cut_within = 0;
    int dropped = 0;
    for (uint64_t seed = 0; seed < 4000; ++seed) {
        word_source source(seed);
        const std::vector<std::string> strings{source.word(1 + source.below(5), 2), source.word(2, 3)};
        stop_filter filter(strings);
        CHECK(filter.active());
        std::string text;
        std::string reported;
        std::vector<size_t> begins;
        int32_t next_token = 0;
        const auto take = [&] {
            while (const auto token = filter.next()) {
                const auto index = static_cast<size_t>(token->token.chosen.token);
                CHECK_EQ(token->token.chosen.token, next_token++);
                const size_t end = index + 1 < begins.size() ? begins[index + 1] : text.size();
                const size_t bytes =
                    token->text_bytes < 0 ? end - begins[index] : static_cast<size_t>(token->text_bytes);
                cut_within += token->text_bytes > 0 ? 1 : 0;
                reported += text.substr(begins[index], bytes);
            }
        };
        for (int32_t i = 0; i < 12 && !filter.found(); ++i) {
            const std::string piece = source.word(source.below(4), 2);
            begins.push_back(text.size());
            text += piece;
            filter.push({{i, 0.0F}, {}}, piece);
            take();
            if (!filter.found()) {
                const size_t decided = naive_decided(text, strings);
                CHECK(reported.size() <= decided);
                CHECK(text.substr(0, reported.size()) == reported);
                const bool waits = static_cast<size_t>(next_token) < begins.size();
                const size_t end = static_cast<size_t>(next_token) + 1 < begins.size()
                                       ? begins[static_cast<size_t>(next_token) + 1]
                                       : text.size();
                CHECK(!waits || end > decided);
            }
        }
        filter.release();
        take();
        const found_stop expected = naive_search(text, strings);
        CHECK_EQ(filter.found().has_value(), expected.string >= 0);
        CHECK(reported == text.substr(0, expected.begin));
        dropped += static_cast<size_t>(next_token) < begins.size() ? 1 : 0;
        if (expected.string < 0) {
            CHECK_EQ(static_cast<size_t>(next_token), begins.size());
        }
    }
    CHECK(cut_within > 100);
    CHECK(dropped > 100);
}

TEST(a_filter_without_strings_is_idle_and_empty_strings_are_refused) {
    CHECK(!stop_filter({}).active());
    CHECK(!stop_filter({}).found().has_value());
    CHECK_THROWS_CODE(stop_matcher({"a", ""}), error_code::INVALID_ARGUMENT);
}

TEST(a_stop_string_of_any_bytes_is_found) {
    const std::string text("x\0\xff\x80y", 5);
    stop_matcher matcher({text.substr(1, 3)});
    const auto match = matcher.read(text.data(), text.size());
    CHECK(match.has_value());
    CHECK_EQ(match->begin, 1U);
}
