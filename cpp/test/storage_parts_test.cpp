// Checksums, halves, and the parser of headers.

#include "base/half.h"
#include "storage/crc32c.h"
#include "storage/file_sink.h"
#include "storage/json_cursor.h"
#include "storage/safetensors_header.h"
#include "test/storage_fixture.h"

#include <cmath>
#include <limits>

using namespace llama_steer;
using namespace llama_steer::storage;
using namespace llama_steer::storage_test;

namespace {

std::string tensor(const std::string & name, const std::string & dtype, const std::string & shape,
                   const std::string & offsets) {
    return "\"" + name + "\":{\"dtype\":\"" + dtype + "\",\"shape\":" + shape + ",\"data_offsets\":" + offsets + "}";
}

}  // namespace

// RFC 3720, appendix B.4.
TEST(crc32c_gives_the_published_checksums) {
    std::string ascending, descending;
    for (int i = 0; i < 32; ++i) {
        ascending += static_cast<char>(i);
        descending += static_cast<char>(31 - i);
    }
    const std::pair<std::string, uint32_t> vectors[] = {
        {"", 0},
        {"123456789", 0xe3069283},
        {std::string(32, '\0'), 0x8a9136aa},
        {std::string(32, '\xff'), 0x62a8ab43},
        {ascending, 0x46dd794e},
        {descending, 0x113fdb5c},
    };
    for (const auto & [text, expected] : vectors) {
        CHECK_EQ(crc32c(text.data(), text.size()), expected);
        CHECK_EQ(crc32c_portable(text.data(), text.size()), expected);
        const size_t half = text.size() / 2;
        CHECK_EQ(crc32c(text.data() + half, text.size() - half, crc32c(text.data(), half)), expected);
    }
}

TEST(crc32c_of_rows_is_that_of_each_row) {
    std::mt19937 random(1);
    std::vector<unsigned char> bytes(11 * 203 + 1);
    for (auto & each : bytes) each = static_cast<unsigned char>(random());
    for (const size_t row_bytes : {1, 2, 7, 8, 9, 64, 203}) {
        for (const size_t rows : {0, 1, 2, 3, 4, 11}) {
            std::vector<uint32_t> sums(rows);
            crc32c_rows(bytes.data() + 1, row_bytes, rows, sums.data());
            for (size_t i = 0; i < rows; ++i) {
                CHECK_EQ(sums[i], crc32c_portable(bytes.data() + 1 + i * row_bytes, row_bytes));
            }
        }
    }
}

TEST(halves_become_floats_and_the_same_halves_again) {
    for (uint32_t bits = 0; bits < 0x10000; ++bits) {
        const auto half = static_cast<uint16_t>(bits);
        float value = 0;
        to_float(&half, 1, &value);
        uint16_t back = 0;
        CHECK_EQ(to_half(&value, 1, &back), 1U);
        const bool is_nan = (half & 0x7c00) == 0x7c00 && (half & 0x3ff) != 0;
        CHECK(is_nan ? std::isnan(value) && (back & 0x7c00) == 0x7c00 && (back & 0x3ff) != 0 : back == half);
        const int exponent = (half >> 10) & 31;
        if (exponent < 31) {
            const double mantissa = (half & 0x3ff) + (exponent > 0 ? 1024 : 0);
            const double exact = std::ldexp(mantissa, std::max(exponent, 1) - 25) * ((half & 0x8000) != 0 ? -1 : 1);
            CHECK_EQ(static_cast<double>(value), exact);
        }
    }
}

TEST(halves_round_to_nearest_and_ties_to_even) {
    for (uint16_t half = 0; half < 0x7bff; ++half) {
        const uint16_t pair[] = {half, static_cast<uint16_t>(half + 1)};
        float around[2];
        to_float(pair, 2, around);
        const float middle = (around[0] + around[1]) / 2;
        const float values[] = {std::nextafterf(middle, 0), middle, std::nextafterf(middle, INFINITY)};
        uint16_t rounded[3];
        to_half(values, 3, rounded);
        CHECK_EQ(rounded[0], pair[0]);
        CHECK_EQ(rounded[1], pair[half & 1]);
        CHECK_EQ(rounded[2], pair[1]);
    }
    const float edge[] = {1, -65519.996F, INFINITY, -65520, 1e30F};
    uint16_t halves[5];
    CHECK_EQ(to_half(edge, 5, halves), 3U);
    CHECK_EQ(halves[1], 0xfbff);
    CHECK_EQ(halves[2], 0x7c00);
}

// Many at once go through the processor's instructions, where it has them; one goes through our own arithmetic.
TEST(many_halves_at_once_are_those_of_each) {
    std::mt19937 random(5);
    std::vector<float> values(100003);
    for (float & each : values) {
        uint32_t bits = static_cast<uint32_t>(random());
        bits = random() % 2 == 0 ? bits : (bits & 0x8fffffff) | 0x38000000;
        std::memcpy(&each, &bits, sizeof bits);
        each = std::isnan(each) || std::fabs(each) >= 65520 ? 1 : each;
    }
    std::vector<uint16_t> halves(values.size());
    CHECK_EQ(to_half(values.data(), values.size(), halves.data()), values.size());
    std::vector<float> back(values.size());
    to_float(halves.data(), halves.size(), back.data());
    size_t wrong = 0;
    for (size_t i = 0; i < values.size(); ++i) {
        uint16_t half = 0;
        float value = 0;
        to_half(&values[i], 1, &half);
        to_float(&half, 1, &value);
        wrong += half != halves[i] || value != back[i];
    }
    CHECK_EQ(wrong, 0U);
    for (const size_t at : {size_t{0}, size_t{7}, size_t{8}, values.size() - 1}) {
        std::vector<float> large = values;
        large[at] = -65520;
        large[5] = INFINITY;
        CHECK_EQ(to_half(large.data(), large.size(), halves.data()), at);
        CHECK_EQ(halves[at], 0xfc00);
    }
}

TEST(text_must_be_utf8) {
    for (const char * good : {"", "a", "\xc3\xa9", "\xe2\x82\xac", "\xf0\x9f\x98\x80"}) CHECK(is_utf8(good));
    for (const char * bad : {"\x80", "\xc3", "\xc0\xaf", "\xe0\x80\xaf", "\xed\xa0\x80", "\xf4\x90\x80\x80", "\xff",
                             "\xc3(", "\xf0\x9f\x98"}) {
        CHECK(!is_utf8(bad));
    }
}

TEST(json_text_is_written_and_read_back) {
    const std::string text = "quote \" slash / \\ line\n tab\t bell\x07 \xc3\xa9 \xf0\x9f\x98\x80";
    CHECK_EQ(json_cursor(json_string(text)).string(), text);
    CHECK_EQ(json_cursor(R"("\u00e9\ud83d\ude00\/\b\u000A")").string(), "\xc3\xa9\xf0\x9f\x98\x80/\b\n");
    for (const char * bad : {R"("\ud83d")", R"("\ude00")", R"("\ud83d\u0041")", R"("\x")", R"("\u12g4")", "\"",
                             "\"a\nb\"", "\"\xff\"", "a", ""}) {
        CHECK_THROWS_CODE(json_cursor(bad).string(), error_code::DATA_DAMAGED);
    }
    for (const char * bad : {"", "-1", "01", "1e3x", "18446744073709551616", "x"}) {
        CHECK_THROWS_CODE(
            [&] {
                json_cursor at(bad);
                at.integer();
                at.expect_end();
            }(),
            error_code::DATA_DAMAGED);
    }
    CHECK_EQ(json_cursor("18446744073709551615").integer(), UINT64_MAX);
}

TEST(a_safetensors_header_is_read_whatever_its_order) {
    const std::string json = " { " + tensor("b", "F16", "[ 3 ]", "[8, 14]") +
                             " , \"__metadata__\" : { \"k\":\"v\" }, " + tensor("a", "I32", "[2,1]", "[0,8]") + "," +
                             tensor("none", "F32", "[0,9]", "[8,8]") + "}  ";
    const safetensors_header header = parse_safetensors(json, 14);
    CHECK_EQ(header.tensors.size(), 3U);
    CHECK_EQ(header.tensors[0].name, "a");
    CHECK_EQ(header.tensors[1].name, "none");
    CHECK_EQ(header.tensors[2].name, "b");
    CHECK_EQ(*header.find("k"), "v");
    CHECK(header.find("K") == nullptr);
}

TEST(hostile_safetensors_headers_are_refused) {
    const std::string good = tensor("a", "F32", "[2]", "[0,8]");
    const std::string cases[] = {
        "",
        "{",
        "[]",
        "null",
        "{" + good,
        "{" + good + ",}",
        "{" + good + "}x",
        "{" + good + "," + good + "}",
        "{" + good + "," + tensor("b", "F32", "[1]", "[4,8]") + "}",
        "{" + good + "," + tensor("b", "F32", "[1]", "[12,16]") + "}",
        "{" + tensor("a", "F32", "[1]", "[0,4]") + "}",
        "{" + tensor("a", "F32", "[3]", "[0,8]") + "}",
        "{" + tensor("a", "F32", "[2]", "[8,0]") + "}",
        "{" + tensor("a", "F33", "[2]", "[0,8]") + "}",
        "{" + tensor("a", "F32", "[2]", "[0]") + "}",
        "{" + tensor("a", "F32", "[2]", "[0,8,8]") + "}",
        "{" + tensor("a", "F32", "[-2]", "[0,8]") + "}",
        "{" + tensor("a", "F32", "[2.0]", "[0,8]") + "}",
        "{" + tensor("a", "F32", "[4611686018427387906]", "[0,8]") + "}",
        "{" + tensor("a", "F32", "[9223372036854775808,2,2]", "[0,8]") + "}",
        "{" + tensor("a", "F32", "[99999999999999999999]", "[0,8]") + "}",
        "{" + tensor("a", "F32", "[[2]]", "[0,8]") + "}",
        "{\"a\":{\"dtype\":\"F32\",\"shape\":[2]}}",
        "{\"a\":{\"dtype\":\"F32\",\"dtype\":\"F32\",\"shape\":[2],\"data_offsets\":[0,8]}}",
        "{\"a\":{\"dtype\":\"F32\",\"shape\":[2],\"data_offsets\":[0,8],\"more\":1}}",
        "{\"__metadata__\":{\"a\":1}," + good + "}",
        "{\"__metadata__\":{\"a\":{}}," + good + "}",
        "{\"__metadata__\":{\"a\":\"1\",\"a\":\"2\"}," + good + "}",
        "{\"__metadata__\":{},\"__metadata__\":{}," + good + "}",
        "{\"\xff\":{\"dtype\":\"F32\",\"shape\":[2],\"data_offsets\":[0,8]}}",
        std::string(100000, '['),
        std::string(100000, '{'),
        "{\"a\":" + std::string(100000, '{'),
    };
    for (const std::string & json : cases) {
        CHECK_THROWS_CODE(parse_safetensors(json, 8), error_code::DATA_DAMAGED);
    }
    CHECK_EQ(parse_safetensors("{" + good + "}", 8).tensors.size(), 1U);
}

TEST(headers_of_impossible_length_are_refused) {
    const auto length = [](uint64_t value, uint64_t file) {
        unsigned char first[8];
        for (int i = 0; i < 8; ++i) first[i] = static_cast<unsigned char>(value >> (8 * i));
        return header_json_length(first, file);
    };
    CHECK_EQ(length(2, 10), 2U);
    for (const uint64_t wrong : {uint64_t{0}, uint64_t{3}, max_header_json + 1, UINT64_MAX, UINT64_MAX - 7}) {
        CHECK_THROWS_CODE(length(wrong, 10), error_code::DATA_DAMAGED);
    }
    CHECK_THROWS_CODE(length(2, 7), error_code::DATA_DAMAGED);
    CHECK_THROWS_CODE(length(2, 0), error_code::DATA_DAMAGED);
    CHECK_THROWS_CODE(length(max_header_json + 1, UINT64_MAX), error_code::DATA_DAMAGED);
}

TEST(mutated_headers_are_read_or_refused_and_nothing_else) {
    safetensors_header header;
    header.metadata = {{"k", "v\"\\\n\xc3\xa9"}};
    header.tensors = {{"a", "F32", {2, 3}, 0, 24}, {"b", "I32", {4}, 24, 40}};
    const std::string json = write_safetensors(header, 8).substr(8);
    CHECK(parse_safetensors(json, 40).tensors == header.tensors);
    const std::string alphabet = "{}[]\",:\\u0019aF e-.\xff\n";
    std::mt19937 random(7);
    const auto pick = [&](size_t below) { return static_cast<size_t>(random()) % below; };
    size_t refused = 0;
    for (int round = 0; round < 30000; ++round) {
        std::string text = json;
        for (size_t change = 0; change <= pick(4); ++change) {
            const size_t at = pick(text.size());
            switch (pick(4)) {
                case 0:
                    text[at] = alphabet[pick(alphabet.size())];
                    break;
                case 1:
                    text.insert(at, 1, alphabet[pick(alphabet.size())]);
                    break;
                case 2:
                    text.erase(at, 1 + pick(4));
                    break;
                default:
                    text.insert(at, text.substr(pick(text.size()), 1 + pick(20)));
            }
            if (text.empty()) text = "{";
        }
        try {
            parse_safetensors(text, 40);
        } catch (const error & failure) {
            refused += failure.code() == error_code::DATA_DAMAGED;
            CHECK_EQ(failure.code(), error_code::DATA_DAMAGED);
        }
    }
    CHECK(refused > 20000);
}

TEST(a_full_device_is_an_error_with_its_cause) {
    if (!fs::exists("/dev/full")) SKIP("no /dev/full here");
    file_sink sink("/dev/full", file_sink::mode::reopen);
    const std::string message = CHECK_THROWS_CODE(sink.write(0, "text", 4), error_code::FILE_WRITE_FAILED);
    CHECK(message.find("/dev/full") != std::string::npos);
    CHECK(message.find("make room") != std::string::npos);
    CHECK_THROWS_CODE(file_sink("/nowhere/at/all", file_sink::mode::create), error_code::FILE_WRITE_FAILED);
}
