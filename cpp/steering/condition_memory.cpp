#include "steering/condition_memory.h"

#include <algorithm>
#include <cmath>
#include <limits>

namespace llama_steer {

condition_memory::prompt_record * condition_memory::record(const condition_probe & probe, const batch_layout & layout,
                                                           int32_t sequence) {
    auto & records = sequences_[static_cast<size_t>(sequence)];
    const sequence_span & span = layout.span(sequence);
    const int32_t first = span.first_position + span.n_carried;  // of the prompt's tokens
    const int32_t n_prompt = span.generated ? 0 : span.n_tokens - span.n_carried;
    auto found = records.find(probe.key);
    if (n_prompt == 0) {
        if (found == records.end()) {
            return nullptr;
        }
        // An answer is decided by the prompt right before it, and by none where nothing was measured on that.
        prompt_record & known = found->second;
        const int64_t answer_begin = span.first_position + 1 - layout.step(sequence, span.first_position);
        return known.complete && known.begin + static_cast<int64_t>(known.values.size()) == answer_begin ? &known
                                                                                                         : nullptr;
    }
    if (found == records.end()) {
        found = records.emplace(probe.key, prompt_record{}).first;
        found->second.begin = first;
    }
    if (found->second.pass != layout.pass()) {
        make_ready(found->second, probe, span, layout.pass());
    }
    return &found->second;
}

void condition_memory::make_ready(prompt_record & known, const condition_probe & probe, const sequence_span & span,
                                  uint64_t pass) {
    const int32_t first = span.first_position + span.n_carried;
    const int32_t span_end = span.first_position + span.n_tokens;
    const int32_t end = known.begin + static_cast<int32_t>(known.values.size());
    const bool continues = first >= known.begin && (first < end || (first == end && !known.complete));
    if (!continues) {
        known.before = static_cast<int8_t>(known.complete && end <= first ? outcome(probe, known) : -1);
        known.before_end = end;
        known.begin = first;
    }
    known.values.resize(static_cast<size_t>(first - known.begin));
    known.values.resize(static_cast<size_t>(span_end - known.begin), std::numeric_limits<float>::quiet_NaN());
    known.complete = span.prompt_end == span_end;
    known.decided = -1;
    known.pass = pass;
}

bool condition_memory::decide(const condition_probe & probe, const prompt_record & record) {
    if (probe.latch == condition_latch::last_prompt) {
        return !record.values.empty() && probe.fulfilled_by(record.values.back());
    }
    if (probe.latch == condition_latch::prompt_any) {
        return std::any_of(record.values.begin(), record.values.end(),
                           [&](float value) { return probe.fulfilled_by(value); });
    }
    double sum = 0;
    int64_t count = 0;
    for (const float value : record.values) {
        if (!std::isnan(value)) {
            sum += static_cast<double>(value);
            ++count;
        }
    }
    return count > 0 && probe.fulfilled_by(static_cast<float>(sum / static_cast<double>(count)));
}

bool condition_memory::knows(const condition_probe & probe, int32_t sequence, int32_t count) const {
    const auto & records = sequences_[static_cast<size_t>(sequence)];
    const auto found = records.find(probe.key);
    return found != records.end() && found->second.begin == 0 &&
           static_cast<int32_t>(found->second.values.size()) >= count;
}

void condition_memory::cut(int32_t sequence, int32_t position) {
    auto & records = sequences_[static_cast<size_t>(sequence)];
    for (auto each = records.begin(); each != records.end();) {
        prompt_record & known = each->second;
        if (known.begin + static_cast<int32_t>(known.values.size()) <= position) {
            ++each;
        } else if (known.begin < position) {
            known.values.resize(static_cast<size_t>(position - known.begin));
            known.complete = false;
            known.decided = -1;
            ++each;
        } else if (known.before >= 0 && known.before_end <= position) {
            const prompt_record cut_off = known;
            known = prompt_record{};
            known.begin = cut_off.before_end;
            known.complete = true;
            known.decided = cut_off.before;
            ++each;
        } else {
            each = records.erase(each);
        }
    }
}

void condition_memory::copy(int32_t from, int32_t to, int32_t position) {
    sequences_[static_cast<size_t>(to)] = sequences_[static_cast<size_t>(from)];
    cut(to, position);
}

}  // namespace llama_steer
