#pragma once

#include <cstddef>
#include <cstdint>
#include <cstring>
#include <type_traits>

namespace llama_steer {

/// Collects contents into 64 bits: equal contents, equal value. Not for hostile input.
class content_hash {
public:
    /// Bytes of memory; eight at a time, so that vectors of millions of floats are hashed in milliseconds.
    content_hash & bytes(const void * data, size_t count) {
        const auto * from = static_cast<const unsigned char *>(data);
        while (count > 0) {
            uint64_t word = 0;
            const size_t part = count < sizeof(word) ? count : sizeof(word);
            std::memcpy(&word, from, part);
            mix(word);
            from += part;
            count -= part;
        }
        return *this;
    }

    /// A number, an enumerator or a bool.
    template <typename number>
    content_hash & add(number value) {
        static_assert(std::is_arithmetic_v<number> || std::is_enum_v<number>, "hash the contents, not the object");
        return bytes(&value, sizeof(value));
    }

    uint64_t value() const { return state_; }

private:
    void mix(uint64_t word) {
        state_ = (state_ ^ word) * 0x9e3779b97f4a7c15ULL;
        state_ ^= state_ >> 29;
    }

    uint64_t state_ = 0x2545f4914f6cdd1dULL;
};

}  // namespace llama_steer
