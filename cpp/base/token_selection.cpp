#include "base/token_selection.h"

#include <algorithm>

namespace llama_steer {

namespace {

/// Whether `marker` ends with the token at `index`.
bool ends_at(const std::vector<int32_t> & marker, const std::vector<int32_t> & tokens, std::size_t index) {
    return index + 1 >= marker.size() &&
           std::equal(marker.rbegin(), marker.rend(), tokens.rend() - static_cast<std::ptrdiff_t>(index) - 1);
}

}  // namespace

bool token_selector::selects(const batch_layout & layout, int32_t sequence, int32_t position, bool output) const {
    switch (selection_.scope) {
        case token_scope::all:
            return true;
        case token_scope::prompt:
            return layout.phase(sequence, position) != token_phase::generated;
        case token_scope::last_prompt:
            return layout.phase(sequence, position) == token_phase::last_prompt;
        case token_scope::generated:
            return layout.phase(sequence, position) == token_phase::generated;
        case token_scope::last_prompt_and_generated:
            return layout.phase(sequence, position) != token_phase::prompt;
        case token_scope::outputs:
            return output;
        case token_scope::positions:
            return is_at_position(layout.span(sequence), position);
        case token_scope::between:
            return is_inside(layout, sequence, position);
    }
    return false;
}

bool token_selector::is_at_position(const sequence_span & span, int32_t position) const {
    return std::any_of(selection_.positions.begin(), selection_.positions.end(), [&](int32_t wanted) {
        return wanted >= 0 ? wanted == position : span.prompt_end >= 0 && span.prompt_end + wanted == position;
    });
}

bool token_selector::is_inside(const batch_layout & layout, int32_t sequence, int32_t position) const {
    return look_at(layout, sequence).inside[static_cast<std::size_t>(position)];
}

bool token_selector::misses_marker(const batch_layout & layout, int32_t sequence) const {
    return selection_.required && !look_at(layout, sequence).opened;
}

token_selector::marked & token_selector::look_at(const batch_layout & layout, int32_t sequence) const {
    marked & state = marked_[sequence];
    if (state.rewrites != layout.rewrites(sequence)) {
        state = {{}, false, false, layout.rewrites(sequence)};
    }
    const std::vector<int32_t> & tokens = layout.tokens(sequence);
    for (std::size_t i = state.inside.size(); i < tokens.size(); ++i) {
        const bool was_open = state.open;
        const bool closes = was_open && ends_at(selection_.close, tokens, i);
        const bool opens = !was_open && ends_at(selection_.open, tokens, i);
        state.open = opens || (was_open && !closes);
        state.opened = state.opened || opens;
        state.inside.push_back(opens || closes ? selection_.with_markers : was_open);
    }
    return state;
}

}  // namespace llama_steer
