#include "engine/stop_filter.h"

namespace llama_steer {

void stop_filter::push(answer_token token, const std::string & text) {
    held_.push_back({std::move(token), length_, length_ + text.size()});
    length_ += text.size();
    match_ = matcher_.read(text.data(), text.size());
}

std::optional<stop_filter::decided_token> stop_filter::next() {
    if (held_.empty()) {
        return std::nullopt;
    }
    held_token & first = held_.front();
    if (match_ && first.begin >= match_->begin) {
        held_.clear();
        return std::nullopt;
    }
    if (!match_ && !released_ && first.end > matcher_.decided()) {
        return std::nullopt;
    }
    const bool cut = match_ && first.end > match_->begin;
    decided_token decided{std::move(first.token), cut ? static_cast<int32_t>(match_->begin - first.begin) : -1};
    held_.erase(held_.begin());
    return decided;
}

std::optional<int32_t> stop_filter::found() const {
    return match_ ? std::optional<int32_t>(static_cast<int32_t>(match_->string)) : std::nullopt;
}

}  // namespace llama_steer
