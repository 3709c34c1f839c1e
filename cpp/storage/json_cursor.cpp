#include "json_cursor.h"

#include "base/error.h"

namespace llama_steer::storage {

namespace {

void append_utf8(std::string & text, uint32_t code) {
    const auto tail = [&](int shift) { text += static_cast<char>(0x80 | ((code >> shift) & 0x3f)); };
    if (code < 0x80) {
        text += static_cast<char>(code);
    } else if (code < 0x800) {
        text += static_cast<char>(0xc0 | (code >> 6));
        tail(0);
    } else if (code < 0x10000) {
        text += static_cast<char>(0xe0 | (code >> 12));
        tail(6);
        tail(0);
    } else {
        text += static_cast<char>(0xf0 | (code >> 18));
        tail(12);
        tail(6);
        tail(0);
    }
}

bool is_digit(char c) { return c >= '0' && c <= '9'; }

}  // namespace

void json_cursor::fail(const std::string & what) const {
    throw error(error_code::DATA_DAMAGED, what + " at byte " + std::to_string(at_) + " of the header");
}

void json_cursor::skip_space() {
    while (at_ < text_.size() &&
           (text_[at_] == ' ' || text_[at_] == '\n' || text_[at_] == '\r' || text_[at_] == '\t')) {
        ++at_;
    }
}

bool json_cursor::take(char token) {
    skip_space();
    if (at_ < text_.size() && text_[at_] == token) {
        ++at_;
        return true;
    }
    return false;
}

void json_cursor::expect(char token) {
    if (!take(token)) {
        fail(std::string("no '") + token + "'");
    }
}

void json_cursor::expect_end() {
    skip_space();
    if (at_ != text_.size()) {
        fail("something follows the end");
    }
}

char json_cursor::next() {
    if (at_ == text_.size()) {
        fail("a text that does not end");
    }
    return text_[at_++];
}

uint32_t json_cursor::hex4() {
    uint32_t value = 0;
    for (int i = 0; i < 4; ++i) {
        const char c = next();
        const char lower = static_cast<char>(c | 0x20);
        if (!is_digit(c) && !(lower >= 'a' && lower <= 'f')) {
            fail("a wrong escape");
        }
        value = value * 16 + static_cast<uint32_t>(is_digit(c) ? c - '0' : lower - 'a' + 10);
    }
    return value;
}

void json_cursor::escape(std::string & into) {
    constexpr std::string_view names = "\"\\/bfnrt";
    constexpr std::string_view meanings = "\"\\/\b\f\n\r\t";
    const char c = next();
    if (c != 'u') {
        const size_t found = names.find(c);
        if (found == std::string_view::npos) {
            fail("a wrong escape");
        }
        into += meanings[found];
        return;
    }
    uint32_t code = hex4();
    if (code >= 0xd800 && code < 0xdc00) {
        if (next() != '\\' || next() != 'u') {
            fail("half a character");
        }
        const uint32_t low = hex4();
        if (low < 0xdc00 || low >= 0xe000) {
            fail("half a character");
        }
        code = 0x10000 + ((code - 0xd800) << 10) + (low - 0xdc00);
    } else if (code >= 0xdc00 && code < 0xe000) {
        fail("half a character");
    }
    append_utf8(into, code);
}

std::string json_cursor::string() {
    expect('"');
    std::string value;
    for (char c = next(); c != '"'; c = next()) {
        if (static_cast<unsigned char>(c) < 0x20) {
            fail("a control character");
        }
        if (c == '\\') {
            escape(value);
        } else {
            value += c;
        }
    }
    if (!is_utf8(value)) {
        fail("a text that is not UTF-8");
    }
    return value;
}

uint64_t json_cursor::integer() {
    skip_space();
    const size_t begin = at_;
    uint64_t value = 0;
    while (at_ < text_.size() && is_digit(text_[at_])) {
        const auto digit = static_cast<uint64_t>(text_[at_] - '0');
        if (value > (UINT64_MAX - digit) / 10) {
            fail("a number that is too large");
        }
        value = value * 10 + digit;
        ++at_;
    }
    if (at_ == begin || (text_[begin] == '0' && at_ - begin > 1)) {
        fail("no whole number");
    }
    return value;
}

bool is_utf8(std::string_view text) {
    for (size_t i = 0; i < text.size();) {
        const auto lead = static_cast<unsigned char>(text[i]);
        const size_t length = lead < 0x80 ? 1 : lead >> 5 == 6 ? 2 : lead >> 4 == 14 ? 3 : lead >> 3 == 30 ? 4 : 0;
        if (length == 0 || length > text.size() - i) {
            return false;
        }
        uint32_t code = length == 1 ? lead : lead & (0x7fU >> length);
        for (size_t k = 1; k < length; ++k) {
            const auto byte = static_cast<unsigned char>(text[i + k]);
            if (byte >> 6 != 2) {
                return false;
            }
            code = (code << 6) | (byte & 0x3f);
        }
        constexpr uint32_t smallest[] = {0, 0, 0x80, 0x800, 0x10000};
        if (code < smallest[length] || code > 0x10ffff || (code >= 0xd800 && code < 0xe000)) {
            return false;
        }
        i += length;
    }
    return true;
}

std::string json_string(std::string_view text) {
    constexpr std::string_view digits = "0123456789abcdef";
    std::string quoted = "\"";
    for (const char c : text) {
        if (c == '"' || c == '\\') {
            quoted += '\\';
            quoted += c;
        } else if (static_cast<unsigned char>(c) < 0x20) {
            quoted += "\\u00";
            quoted += digits[static_cast<unsigned char>(c) >> 4];
            quoted += digits[c & 15];
        } else {
            quoted += c;
        }
    }
    return quoted + '"';
}

}  // namespace llama_steer::storage
