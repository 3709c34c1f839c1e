#include "engine/stop_filter.h"

namespace llama_steer {

void stop_filter::push(const sampled_token & token, const std::string & text) {
    held_.push_back({token, length_, length_ + text.size()});
    length_ += text.size();
    match_ = matcher_.read(text.data(), text.size());
}

std::optional<stop_filter::decided_token> stop_filter::next() {
    if (held_.empty()) {
        return std::nullopt;
    }
    const held_token first = held_.front();
    if (match_ && first.begin >= match_->begin) {
        held_.clear();
        return std::nullopt;
    }
    if (!match_ && !released_ && first.end > matcher_.decided()) {
        return std::nullopt;
    }
    held_.erase(held_.begin());
    const bool cut = match_ && first.end > match_->begin;
    return decided_token{first.token, cut ? static_cast<int32_t>(match_->begin - first.begin) : -1};
}

std::optional<int32_t> stop_filter::found() const {
    return match_ ? std::optional<int32_t>(static_cast<int32_t>(match_->string)) : std::nullopt;
}

}  // namespace llama_steer
