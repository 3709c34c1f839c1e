#include "steering/schedule.h"

#include "base/error.h"

#include <algorithm>
#include <cmath>
#include <cstring>
#include <limits>
#include <string>
#include <utility>

namespace llama_steer {

namespace {

constexpr double pi = 3.14159265358979323846;

void check_segment(const schedule_segment & segment, const std::string & name) {
    if (!std::isfinite(segment.from) || !std::isfinite(segment.to)) {
        throw error(error_code::NOT_FINITE, name + " must have finite strengths");
    }
    if (segment.shape > schedule_shape::exponential) {
        throw error(error_code::INVALID_ARGUMENT, name + " has an unknown shape");
    }
    if (segment.shape != schedule_shape::constant && !(segment.length > 0 && std::isfinite(segment.length))) {
        throw error(error_code::INVALID_ARGUMENT, name + " must be longer than 0 steps, and not endless");
    }
}

void check_phase(const schedule_phase & phase, std::size_t index) {
    const std::string name = "a schedule's phase " + std::to_string(index);
    const double first = -std::numeric_limits<double>::infinity();
    if (phase.segments.empty() || phase.segments.front().begin != first ||
        phase.segments.front().shape != schedule_shape::constant) {
        throw error(error_code::INVALID_ARGUMENT, name + " must begin with a constant at step -infinity");
    }
    for (std::size_t i = 0; i < phase.segments.size(); ++i) {
        const schedule_segment & segment = phase.segments[i];
        if (i > 0 && !(segment.begin > phase.segments[i - 1].begin && std::isfinite(segment.begin))) {
            throw error(error_code::INVALID_ARGUMENT, name + " must have segments that begin at ascending steps");
        }
        check_segment(segment, name + ", segment " + std::to_string(i) + ",");
    }
}

double strength_of(const schedule_segment & segment, double step) {
    // Constants have no length.
    if (segment.shape == schedule_shape::constant) {
        return segment.from;
    }
    const double lengths = (step - segment.begin) / segment.length;
    if (segment.shape == schedule_shape::exponential) {
        return segment.to + (segment.from - segment.to) * std::exp2(-lengths);
    }
    if (lengths >= 1) {
        return segment.to;
    }
    const double share = segment.shape == schedule_shape::linear ? lengths : (1 - std::cos(pi * lengths)) / 2;
    return segment.from + (segment.to - segment.from) * share;
}

double strength_at(const std::vector<schedule_segment> & segments, double step) {
    const auto next =
        std::upper_bound(segments.begin() + 1, segments.end(), step,
                         [](double wanted, const schedule_segment & each) { return wanted < each.begin; });
    return strength_of(*(next - 1), step);
}

/// FNV-1a over 64-bit words, least significant byte first.
class content_hash {
public:
    void add(uint64_t word) {
        for (int i = 0; i < 8; ++i) {
            value_ = (value_ ^ (word >> (8 * i) & 0xff)) * 0x100000001b3ULL;
        }
    }
    void add(double number) {
        const double same_zero = number + 0.0;  // -0 equals 0
        uint64_t bits = 0;
        std::memcpy(&bits, &same_zero, sizeof(bits));
        add(bits);
    }
    void add(const std::vector<int32_t> & numbers) {
        add(static_cast<uint64_t>(numbers.size()));
        for (const int32_t number : numbers) {
            add(static_cast<uint64_t>(static_cast<int64_t>(number)));
        }
    }
    uint64_t value() const { return value_; }

private:
    uint64_t value_ = 0xcbf29ce484222325ULL;
};

uint64_t hash_of(const std::vector<schedule_phase> & phases) {
    content_hash hash;
    for (const schedule_phase & phase : phases) {
        const token_selection & tokens = phase.tokens.selection();
        hash.add(static_cast<uint64_t>(tokens.scope));
        hash.add(tokens.positions);
        hash.add(tokens.open);
        hash.add(tokens.close);
        hash.add(static_cast<uint64_t>(tokens.with_markers));
        hash.add(static_cast<uint64_t>(phase.segments.size()));
        for (const schedule_segment & segment : phase.segments) {
            hash.add(segment.begin);
            hash.add(static_cast<uint64_t>(segment.shape));
            hash.add(segment.from);
            if (segment.shape != schedule_shape::constant) {
                hash.add(segment.to);
                hash.add(segment.length);
            }
        }
    }
    return hash.value();
}

}  // namespace

schedule::schedule(std::vector<schedule_phase> phases) : phases_(std::move(phases)) {
    for (std::size_t i = 0; i < phases_.size(); ++i) {
        check_phase(phases_[i], i);
    }
    is_constant_ = phases_.empty() || (phases_.front().tokens.selection().scope == token_scope::all &&
                                       phases_.front().segments.size() == 1);
    constant_ = is_constant_ && !phases_.empty() ? phases_.front().segments.front().from : 0;
    hash_ = hash_of(phases_);
}

schedule schedule::constant(double strength) {
    const double always = -std::numeric_limits<double>::infinity();
    return schedule({{token_scope::all, {{always, schedule_shape::constant, strength, 0, 0}}}});
}

double schedule::look_up(const batch_layout & layout, int32_t sequence, int32_t position, int64_t step,
                         bool output) const {
    for (const schedule_phase & phase : phases_) {
        if (phase.tokens.selects(layout, sequence, position, output)) {
            return strength_at(phase.segments, static_cast<double>(step));
        }
    }
    return 0;
}

}  // namespace llama_steer
