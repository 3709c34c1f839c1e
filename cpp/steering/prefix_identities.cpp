#include "steering/prefix_identities.h"

#include "base/content_hash.h"

namespace llama_steer {

uint64_t prefix_identities::extend(uint64_t before, int32_t token, uint64_t actions) {
    return content_hash().add(before).add(token).add(actions).value();
}

void prefix_identities::set(int32_t sequence, int32_t position, int32_t token, uint64_t actions) {
    std::vector<uint64_t> & chain = chains_[static_cast<size_t>(sequence)];
    chain.resize(static_cast<size_t>(position));
    chain.push_back(extend(chain.empty() ? 0 : chain.back(), token, actions));
}

void prefix_identities::cut(int32_t sequence, int32_t position) {
    std::vector<uint64_t> & chain = chains_[static_cast<size_t>(sequence)];
    if (chain.size() > static_cast<size_t>(position)) {
        chain.resize(static_cast<size_t>(position));
    }
}

void prefix_identities::copy(int32_t from, int32_t to, int32_t count) {
    const std::vector<uint64_t> & chain = chains_[static_cast<size_t>(from)];
    chains_[static_cast<size_t>(to)].assign(chain.begin(), chain.begin() + count);
}

}  // namespace llama_steer
