#pragma once

#include <cstdint>
#include <string>
#include <string_view>

namespace llama_steer::storage {

/// Reads JSON text from left to right, by what its reader expects to come: nothing is skipped, so that nothing nests
/// deeper than the reader itself does. The text is hostile: every step throws DATA_DAMAGED, with the byte's number,
/// where it finds anything else. Borrows the text.
class json_cursor {
public:
    explicit json_cursor(std::string_view text) : text_(text) {}

    /// Skips white space, then takes `token`.
    void expect(char token);
    /// Skips white space, then takes `token` if it is there.
    bool take(char token);
    /// Text in quotation marks, without its escapes: valid UTF-8.
    std::string string();
    /// A whole number of 0 or more, as digits alone.
    uint64_t integer();
    /// Nothing but white space may be left.
    void expect_end();

    [[noreturn]] void fail(const std::string & what) const;

private:
    void skip_space();
    char next();
    uint32_t hex4();
    void escape(std::string & into);

    std::string_view text_;
    size_t at_ = 0;
};

/// Whether the text is valid UTF-8: no overlong forms, no surrogates.
bool is_utf8(std::string_view text);

/// The text in quotation marks, as JSON. It must be valid UTF-8.
std::string json_string(std::string_view text);

}  // namespace llama_steer::storage
