#include "steering/intervention.h"

#include "base/content_hash.h"
#include "base/error.h"
#include "steering/site_id.h"

#include <algorithm>
#include <atomic>
#include <cmath>
#include <string>

namespace llama_steer {

namespace {

uint64_t next_id() {
    static std::atomic<uint64_t> last{0};
    return ++last;
}

uint64_t hash_of(const intervention_request & request) {
    const std::string & site = name_of_site(request.site);
    return content_hash()
        .bytes(site.data(), site.size())
        .add(request.directions->hash())
        .add(request.when == nullptr ? uint64_t{0} : request.when->hash())
        .add(request.preserve_norm)
        .value();
}

}  // namespace

intervention::intervention(intervention_request request)
    : id_(next_id()), request_(std::move(request)), hash_(hash_of(request_)) {
    check(request_.numbers);
}

void intervention::set_numbers(intervention_numbers numbers) {
    check(numbers);
    request_.numbers = std::move(numbers);
}

bool intervention::misses_marker(const batch_layout & layout, int32_t sequence) const {
    const auto misses = [&](const token_selector & tokens) { return tokens.misses_marker(layout, sequence); };
    const std::vector<schedule_phase> & phases = request_.numbers.strength.phases();
    return misses(request_.tokens) || std::any_of(phases.begin(), phases.end(),
                                                  [&](const schedule_phase & phase) { return misses(phase.tokens); });
}

void intervention::check(const intervention_numbers & numbers) {
    // An open bound is infinite.
    if (std::isnan(numbers.low) || std::isnan(numbers.high)) {
        throw error(error_code::NOT_FINITE, "the bounds of a projection must be numbers");
    }
    if (numbers.low > numbers.high) {
        throw error(error_code::INVALID_ARGUMENT, "low (" + std::to_string(numbers.low) + ") must not exceed high (" +
                                                      std::to_string(numbers.high) + ")");
    }
}

}  // namespace llama_steer
