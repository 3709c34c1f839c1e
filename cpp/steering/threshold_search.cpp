#include "steering/threshold_search.h"

#include <algorithm>
#include <cstddef>

namespace llama_steer {

namespace {

/// Sorted values of one class, walked from below.
class walk {
public:
    explicit walk(std::vector<double> values) : values_(std::move(values)) {
        std::sort(values_.begin(), values_.end());
    }

    double lowest() const { return values_.front(); }
    double highest() const { return values_.back(); }
    double count() const { return static_cast<double>(values_.size()); }
    /// How many values were passed.
    double passed() const { return static_cast<double>(passed_); }

    bool ended() const { return passed_ == values_.size(); }
    double next() const { return values_[passed_]; }
    void pass(double value) {
        while (!ended() && next() == value) {
            ++passed_;
        }
    }

private:
    std::vector<double> values_;
    std::size_t passed_ = 0;
};

/// The next value of either; one of them must have one.
double next_of(const walk & a, const walk & b) {
    if (a.ended() || b.ended()) {
        return a.ended() ? b.next() : a.next();
    }
    return std::min(a.next(), b.next());
}

/// A number between the two that neither value equals, or, where none is, the one that leaves both where they belong.
double between(double low, double high, bool above) {
    const double middle = low / 2 + high / 2;
    if (middle > low && middle < high) {
        return middle;
    }
    return above ? low : high;
}

}  // namespace

threshold_choice search_threshold(std::vector<double> positive, std::vector<double> negative, condition_side side) {
    walk positives(std::move(positive));
    walk negatives(std::move(negative));
    const double lowest = std::min(positives.lowest(), negatives.lowest());
    const double range = std::max(positives.highest(), negatives.highest()) - lowest;

    threshold_choice best;
    best.threshold = lowest;
    best.above = side != condition_side::below;
    const auto consider = [&](double low, double high, bool above) {
        const double right = above ? positives.count() - positives.passed() : positives.passed();
        const double taken = right + (above ? negatives.count() - negatives.passed() : negatives.passed());
        const double f1 = 2 * right / (taken + positives.count());
        const double margin = (high - low) / range;
        if (f1 > best.f1 || (f1 == best.f1 && margin > best.margin)) {
            best = {between(low, high, above), above, f1, right / taken, right / positives.count(), margin};
        }
    };
    double low = lowest;
    for (;;) {
        positives.pass(low);
        negatives.pass(low);
        if (positives.ended() && negatives.ended()) {
            return best;
        }
        const double high = next_of(positives, negatives);
        if (side != condition_side::below) {
            consider(low, high, true);
        }
        if (side != condition_side::above) {
            consider(low, high, false);
        }
        low = high;
    }
}

}  // namespace llama_steer
