#include "engine/prefix_sharing.h"

#include "base/error.h"
#include "engine/evaluation_checks.h"

#include <algorithm>
#include <string>

namespace llama_steer {

namespace {

/// Whether the strength for a token is known only once its pass runs.
bool depends_on_answer(const steering_list * list, const batch_layout & layout, int32_t sequence, int32_t position) {
    return list != nullptr && std::any_of(list->begin(), list->end(), [&](const auto & each) {
               return each->live() && each->tokens().selects(layout, sequence, position, false);
           });
}

/// The hashes that `sequence` would have after each token of `prompt`, as far as that can be known.
std::vector<uint64_t> chain_of(context & target, int32_t sequence, const std::vector<int32_t> & prompt) {
    instrumentation & graph = target.graph();
    const auto n_tokens = static_cast<int32_t>(prompt.size());
    graph.layout().clear();
    graph.layout().set(sequence, {0, n_tokens, 0, false, n_tokens}, prompt.data());
    std::vector<uint64_t> chain;
    uint64_t last = 0;
    const steering_list * list = graph.steering().list(sequence);
    for (int32_t position = 0; position < n_tokens; ++position) {
        if (depends_on_answer(list, graph.layout(), sequence, position)) {
            break;
        }
        const uint64_t actions = hash_of_actions(list, graph.layout(), {sequence, position, false});
        last = prefix_identities::extend(last, prompt[static_cast<size_t>(position)], actions);
        chain.push_back(last);
    }
    return chain;
}

/// Whether `donor` still knows what the conditions of `list` measured on its first `count` tokens. Of a conversation it
/// knows the last prompt only.
bool knows_measured(context & target, int32_t donor, const steering_list * list, int32_t count) {
    for (size_t i = 0; list != nullptr && i < list->size(); ++i) {
        const condition * when = (*list)[i]->when();
        for (size_t k = 0; when != nullptr && k < when->probes().size(); ++k) {
            const condition_probe & probe = *when->probes()[k];
            const bool needs_all =
                probe.latch == condition_latch::prompt_mean || probe.latch == condition_latch::prompt_any;
            if (needs_all && !target.graph().conditions().knows(probe, donor, count)) {
                return false;
            }
        }
    }
    return true;
}

template <typename element>
int32_t common_length(const std::vector<element> & a, const std::vector<element> & b) {
    return static_cast<int32_t>(
        std::mismatch(a.begin(), a.begin() + static_cast<long>(std::min(a.size(), b.size())), b.begin()).first -
        a.begin());
}

}  // namespace

int32_t share_prefix(context & target, sequence_table & sequences, int32_t sequence,
                     const std::vector<int32_t> & prompt) {
    check_tokens(target, prompt);
    if (!target.options().unified_memory) {
        throw error(error_code::INVALID_ARGUMENT,
                    "sequences with memories of their own cannot share: create the context with unifiedMemory");
    }
    if (sequences[sequence].generating || sequences.position(sequence) > 0) {
        throw error(error_code::SEQUENCE_BUSY, "sequence " + std::to_string(sequence) +
                                                   " holds tokens already: only an empty one can take a prefix");
    }
    if (target.source().info().recurrent || prompt.size() < 2) {
        return 0;
    }
    const std::vector<uint64_t> wanted = chain_of(target, sequence, prompt);
    int32_t donor = -1;
    int32_t longest = 0;
    for (int32_t other = 0; other < sequences.count(); ++other) {
        // Hashes tell steering apart. Tokens come from strangers, who could make them collide: they are compared
        // themselves.
        const int32_t common = std::min(common_length(wanted, target.graph().identities().chain(other)),
                                        common_length(prompt, target.graph().layout().tokens(other)));
        if (other != sequence && common > longest && target.holds_beginning(other) &&
            knows_measured(target, other, target.graph().steering().list(sequence), common)) {
            donor = other;
            longest = common;
        }
    }
    longest = std::min(longest, static_cast<int32_t>(prompt.size()) - 1);
    if (longest == 0) {
        return 0;
    }
    target.copy_prefix(donor, sequence, longest);
    sequences.set_position(sequence, longest);
    return longest;
}

}  // namespace llama_steer
