#include "engine/evaluation.h"

#include "base/error.h"
#include "engine/evaluation_checks.h"
#include "engine/failures.h"
#include "engine/pass.h"

#include <algorithm>
#include <string>

namespace llama_steer {

namespace {

/// Walks the entries in passes of at most batch_size tokens.
class evaluator {
public:
    evaluator(context & target, sequence_table & sequences, const evaluate_request & request, const live_source & live)
        : target_(target),
          sequences_(sequences),
          request_(request),
          live_(live),
          output_(request.logits),
          need_outputs_(taps_that_need_outputs(target)) {
        for (const evaluate_entry & entry : request.entries) {
            prompt_ends_.push_back(prompt_end(sequences, entry));
        }
    }

    decode_status run() {
        while (entry_ < request_.entries.size()) {
            const decode_status status = run_pass();
            if (status != decode_status::ok) {
                return status;
            }
        }
        return decode_status::ok;
    }

private:
    decode_status run_pass() {
        pass next(target_);
        std::vector<int32_t> outputs;
        std::vector<std::pair<int32_t, int32_t>> advanced;
        while (entry_ < request_.entries.size() && next.room() > 0) {
            const evaluate_entry & entry = request_.entries[entry_];
            const auto count = std::min(next.room(), static_cast<int32_t>(entry.tokens.size() - token_));
            const bool complete = token_ + static_cast<size_t>(count) == entry.tokens.size();
            const int32_t position = sequences_.position(entry.sequence);
            const int32_t carried = token_ == 0 ? entry.carried : 0;
            const int32_t first =
                next.add(entry.sequence, {position, count, carried, entry.generated, prompt_ends_[entry_]},
                         entry.tokens.data() + token_);
            const int32_t last = first + count - 1;
            for (const std::shared_ptr<tap> & each : need_outputs_) {
                next.want_captured(*each, entry.sequence, first);
            }
            const int32_t own = first + std::max(0, entry.carried - static_cast<int32_t>(token_));
            for (int32_t i = entry.logits == logits_rows::all ? own : last; i <= last; ++i) {
                if (entry.logits == logits_rows::all || (entry.logits == logits_rows::last && complete)) {
                    next.want_logits(i);
                    outputs.push_back(i);
                }
            }
            advanced.emplace_back(entry.sequence, position + count);
            token_ = complete ? 0 : token_ + static_cast<size_t>(count);
            entry_ += complete ? 1 : 0;
        }

        if (!ask_strengths(live_requests(target_.graph()), live_, [&] { return target_.abort_requested(); }).empty()) {
            throw error(error_code::SCHEDULE_FAILED, schedule_failed);
        }
        const decode_status status = next.run();
        if (status == decode_status::ok) {
            for (const auto & [sequence, position] : advanced) {
                sequences_.set_position(sequence, position);
            }
            copy_logits(outputs);
        }
        return status;
    }

    void copy_logits(const std::vector<int32_t> & outputs) {
        if (output_ == nullptr) {
            return;
        }
        const int64_t n_vocabulary = target_.source().info().vocabulary_size;
        for (const int32_t index : outputs) {
            const float * logits = target_.logits(index);
            output_ = std::copy(logits, logits + n_vocabulary, output_);
        }
    }

    context & target_;
    sequence_table & sequences_;
    const evaluate_request & request_;
    const live_source & live_;
    float * output_;
    std::vector<std::shared_ptr<tap>> need_outputs_;
    std::vector<int32_t> prompt_ends_;  ///< by entry
    size_t entry_ = 0;
    size_t token_ = 0;  ///< of the entry, where a pass ended inside it
};

}  // namespace

const char * const memory_is_full =
    "the memory that all sequences share has no room for these tokens: clear or dispose sequences, or create the "
    "context with larger memoryTokens.";

bool cut_back(context & target, sequence_table & sequences, int32_t sequence, int32_t position) {
    const bool kept = target.cut(sequence, position);
    sequences.set_position(sequence, kept ? position : 0);
    if (!kept) {
        sequences[sequence].pending.reset();
    }
    return !kept && position > 0;
}

evaluate_result evaluate(context & target, sequence_table & sequences, evaluate_request & request,
                         const live_source & live) {
    // An answer's last token has not been evaluated yet: it goes first.
    std::vector<std::optional<int32_t>> pending;
    for (evaluate_entry & entry : request.entries) {
        pending.push_back(sequences.exists(entry.sequence) ? sequences[entry.sequence].pending : std::nullopt);
        if (pending.back() && !entry.tokens.empty()) {
            entry.tokens.insert(entry.tokens.begin(), *pending.back());
            entry.carried = 1;
        }
    }
    check_evaluation(target, sequences, request);

    std::vector<int32_t> before;
    for (const evaluate_entry & entry : request.entries) {
        before.push_back(sequences.position(entry.sequence));
    }
    const std::vector<std::shared_ptr<tap>> taps = target.graph().taps(tap_occasion::evaluation);
    for (const std::shared_ptr<tap> & each : taps) {
        each->clear();
    }

    const auto undo = [&] {
        std::string cleared;
        for (size_t i = 0; i < request.entries.size(); ++i) {
            if (cut_back(target, sequences, request.entries[i].sequence, before[i])) {
                cleared = " The memory of this model cannot go back, so its sequences were cleared.";
            }
        }
        return cleared;
    };

    decode_status status = decode_status::ok;
    try {
        status = evaluator(target, sequences, request, live).run();
    } catch (...) {
        undo();
        throw;
    }
    if (status == decode_status::aborted) {
        throw error(error_code::ABORTED, "the evaluation was aborted; nothing of it was kept." + undo());
    }
    if (status == decode_status::no_room) {
        throw error(error_code::CONTEXT_FULL, memory_is_full + undo());
    }
    for (const evaluate_entry & entry : request.entries) {
        sequences[entry.sequence].pending.reset();
    }
    evaluate_result result{wanted_rows(request), {}};
    for (const std::shared_ptr<tap> & each : taps) {
        result.captures.push_back(labels_of(each));
    }
    return result;
}

}  // namespace llama_steer
