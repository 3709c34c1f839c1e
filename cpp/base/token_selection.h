#pragma once

#include "base/batch_layout.h"

#include <cstdint>
#include <map>
#include <utility>
#include <vector>

namespace llama_steer {

/// Which tokens of a sequence: the one language in which captures say what to keep and interventions where to act.
enum class token_scope : uint8_t {
    all,
    prompt,                     ///< prompt tokens, the last included
    last_prompt,                ///< the last prompt token only
    generated,                  ///< tokens of the answer only
    last_prompt_and_generated,  ///< from the last prompt token on
    outputs,                    ///< tokens whose logits are computed: asked for, or needed by a capture of chosen rows
    positions,                  ///< those at given positions
    between,                    ///< those between two markers, such as the tags of a think block
};

struct token_selection {
    token_scope scope = token_scope::all;
    /// For `positions`: counted from the sequence's first token; negative ones from the end of the prompt they lie in
    /// (-1 is its last token).
    std::vector<int32_t> positions;
    /// For `between`: token ids of the markers, at least one each. A token is inside if an open marker ended before it
    /// and neither a close marker since nor with it. That is decided by what came before: of a close marker of several
    /// tokens only the last is known as such.
    std::vector<int32_t> open;
    std::vector<int32_t> close;
    bool with_markers = false;  ///< the tokens that complete the markers count as inside
    bool required = false;      ///< an answer without the open marker is an error

    token_selection() = default;
    token_selection(token_scope simple) : scope(simple) {}
};

/// Decides for the tokens of the batches that one context decodes. Decoding thread only.
class token_selector {
public:
    token_selector(token_selection selection) : selection_(std::move(selection)) {}
    token_selector(token_scope simple) : selection_(simple) {}

    const token_selection & selection() const { return selection_; }

    /// Whether the token at `position` of `sequence`, which lies in the layout's batch, is selected. `output`: whether
    /// its logits are asked for.
    bool selects(const batch_layout & layout, int32_t sequence, int32_t position, bool output) const;

    /// Whether the tokens that `sequence` holds lack an open marker that is required.
    bool misses_marker(const batch_layout & layout, int32_t sequence) const;

private:
    bool is_at_position(const sequence_span & span, int32_t position) const;
    bool is_inside(const batch_layout & layout, int32_t sequence, int32_t position) const;

    /// What is known of one sequence's markers.
    struct marked {
        std::vector<bool> inside;  ///< by position, as far as its tokens were looked at
        bool open = false;         ///< after the last of them
        bool opened = false;       ///< by any of them
        uint64_t rewrites = 0;
    };
    marked & look_at(const batch_layout & layout, int32_t sequence) const;

    token_selection selection_;
    mutable std::map<int32_t, marked> marked_;  ///< by sequence
};

}  // namespace llama_steer
