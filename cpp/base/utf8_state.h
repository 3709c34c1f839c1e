#pragma once

#include <cstdint>
#include <string>

namespace llama_steer {

/// Where in UTF-8 text a reader is, byte by byte (Unicode 15, table 3-7: no overlong forms, no surrogates, nothing
/// above U+10FFFF).
class utf8_state {
public:
    /// Returns false for a byte that cannot come here; nothing may be read after it.
    bool read(char c) {
        const auto byte = static_cast<uint8_t>(c);
        if (open_ > 0) {
            const bool valid = byte >= low_ && byte <= high_;
            low_ = 0x80;
            high_ = 0xBF;
            --open_;
            return valid;
        }
        if (byte < 0x80) {
            return true;
        }
        open_ = byte < 0xE0 ? 1 : byte < 0xF0 ? 2 : 3;
        low_ = byte == 0xE0 ? 0xA0 : byte == 0xF0 ? 0x90 : 0x80;
        high_ = byte == 0xED ? 0x9F : byte == 0xF4 ? 0x8F : 0xBF;
        return byte >= 0xC2 && byte <= 0xF4;
    }

    bool read(const std::string & bytes) {
        for (const char c : bytes) {
            if (!read(c)) {
                return false;
            }
        }
        return true;
    }

    /// Within a character.
    bool partial() const { return open_ > 0; }

private:
    uint8_t open_ = 0;  ///< bytes that the character still needs
    uint8_t low_ = 0x80;
    uint8_t high_ = 0xBF;
};

}  // namespace llama_steer
