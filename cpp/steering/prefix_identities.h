#pragma once

#include <cstddef>
#include <cstdint>
#include <vector>

namespace llama_steer {

/// What the memory of every sequence was computed from, token by token: a chain of hashes over token ids and over what
/// steering did to each token. Two sequences with the same hash at a position have the same memory up to there,
/// whatever the lists are called that made it. Decoding thread only.
class prefix_identities {
public:
    explicit prefix_identities(int32_t max_sequences) : chains_(static_cast<size_t>(max_sequences)) {}

    /// The hash after one more token.
    static uint64_t extend(uint64_t before, int32_t token, uint64_t actions);

    /// Says what the token at `position` was computed from (see hash_of_actions), and forgets what came after it.
    void set(int32_t sequence, int32_t position, int32_t token, uint64_t actions);
    void cut(int32_t sequence, int32_t position);
    /// Gives `to` the first `count` of `from`.
    void copy(int32_t from, int32_t to, int32_t count);

    /// The hashes of a sequence by position.
    const std::vector<uint64_t> & chain(int32_t sequence) const { return chains_[static_cast<size_t>(sequence)]; }

private:
    std::vector<std::vector<uint64_t>> chains_;
};

}  // namespace llama_steer
