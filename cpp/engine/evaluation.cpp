#include "engine/evaluation.h"

#include "base/error.h"
#include "engine/pass.h"

#include <algorithm>
#include <string>

namespace llama_steer {

namespace {

int64_t wanted_rows(const evaluate_request & request) {
    int64_t rows = 0;
    for (const evaluate_entry & entry : request.entries) {
        rows += entry.logits == logits_rows::all ? static_cast<int64_t>(entry.tokens.size()) - entry.carried
                                                 : static_cast<int64_t>(entry.logits == logits_rows::last);
    }
    return rows;
}

void check_entry(const context & target, sequence_table & sequences, const evaluate_entry & entry) {
    const std::string name = "sequence " + std::to_string(entry.sequence);
    if (!sequences.exists(entry.sequence)) {
        throw error(error_code::INVALID_ARGUMENT, name + " does not exist in this context");
    }
    if (sequences[entry.sequence].generating) {
        throw error(error_code::SEQUENCE_BUSY, name + " is generating: wait for it or abort it first");
    }
    if (entry.tokens.empty()) {
        throw error(error_code::PROMPT_EMPTY, name + " is given no tokens: a forward pass needs at least one");
    }
    check_tokens(target, entry.tokens);
    const int64_t end = sequences.position(entry.sequence) + static_cast<int64_t>(entry.tokens.size());
    if (end > target.options().context_size) {
        throw error(error_code::PROMPT_TOO_LONG, name + " would hold " + std::to_string(end) +
                                                     " tokens; the context holds " +
                                                     std::to_string(target.options().context_size) +
                                                     " per sequence: shorten the prompt or raise contextSize");
    }
}

/// The last position of a prompt that `entry` completes, plus one; -1 where it completes none.
int32_t prompt_end(const sequence_table & sequences, const evaluate_entry & entry) {
    const bool completes = entry.ends_prompt && !entry.generated;
    return completes ? sequences.position(entry.sequence) + static_cast<int32_t>(entry.tokens.size()) : -1;
}

/// Whether token `index` of `entry` will be an output: asked for, or needed by a capture.
bool is_output(const evaluate_entry & entry, int32_t index, const batch_layout & layout,
               const std::vector<std::shared_ptr<tap>> & need_outputs) {
    const sequence_span & span = layout.span(entry.sequence);
    const bool last = index + 1 == span.n_tokens;
    return (entry.logits == logits_rows::all ? index >= entry.carried : last && entry.logits == logits_rows::last) ||
           std::any_of(need_outputs.begin(), need_outputs.end(), [&](const auto & each) {
               return each->selects(layout, entry.sequence, span.first_position + index, false);
           });
}

/// How many rows `target_tap` takes of the whole evaluation, whose layout is set.
int64_t count_rows(const tap & target_tap, const batch_layout & layout, const evaluate_request & request,
                   const std::vector<std::shared_ptr<tap>> & need_outputs) {
    const bool asks = target_tap.request().rows.selection().scope == token_scope::outputs;
    int64_t count = 0;
    for (const evaluate_entry & entry : request.entries) {
        const sequence_span & span = layout.span(entry.sequence);
        for (int32_t i = 0; i < span.n_tokens; ++i) {
            const bool output = asks && is_output(entry, i, layout, need_outputs);
            count += target_tap.selects(layout, entry.sequence, span.first_position + i, output) ? 1 : 0;
        }
    }
    return count;
}

std::vector<std::shared_ptr<tap>> taps_that_need_outputs(context & target) {
    std::vector<std::shared_ptr<tap>> taps = target.graph().taps(tap_occasion::evaluation);
    const int n_layers = target.source().info().n_layers;
    taps.erase(
        std::remove_if(taps.begin(), taps.end(), [&](const auto & each) { return !each->needs_outputs(n_layers); }),
        taps.end());
    return taps;
}

void check_captures(context & target, const sequence_table & sequences, const evaluate_request & request) {
    const std::vector<std::shared_ptr<tap>> taps = target.graph().taps(tap_occasion::evaluation);
    if (taps.empty()) {
        return;
    }
    batch_layout & layout = target.graph().layout();
    layout.clear();
    for (const evaluate_entry & entry : request.entries) {
        layout.set(entry.sequence,
                   {sequences.position(entry.sequence), static_cast<int32_t>(entry.tokens.size()), entry.carried,
                    entry.generated, prompt_end(sequences, entry)},
                   entry.tokens.data());
    }
    const std::vector<std::shared_ptr<tap>> need_outputs = taps_that_need_outputs(target);
    for (const std::shared_ptr<tap> & each : taps) {
        const int64_t needed = count_rows(*each, layout, request, need_outputs);
        if (needed > each->destination().capacity) {
            throw error(error_code::BUFFER_TOO_SMALL, "this evaluation captures " + std::to_string(needed) +
                                                          " rows; the capture has room for " +
                                                          std::to_string(each->destination().capacity) +
                                                          ": capture with a larger capacity or evaluate fewer tokens");
        }
        if (needed == 0 && each->request().rows.selection().scope == token_scope::positions) {
            throw error(error_code::NO_ROW_SELECTED,
                        "none of the positions to be captured lies in this evaluation: give positions its sequences "
                        "have, or dispose the capture");
        }
    }
}

void check(context & target, sequence_table & sequences, evaluate_request & request) {
    if (request.entries.empty()) {
        throw error(error_code::PROMPT_EMPTY, "nothing to evaluate: give at least one sequence with tokens");
    }
    std::vector<bool> seen(static_cast<size_t>(sequences.count()), false);
    for (evaluate_entry & entry : request.entries) {
        check_entry(target, sequences, entry);
        if (seen[static_cast<size_t>(entry.sequence)]) {
            throw error(error_code::INVALID_ARGUMENT,
                        "sequence " + std::to_string(entry.sequence) + " occurs twice in one evaluation");
        }
        seen[static_cast<size_t>(entry.sequence)] = true;
    }
    check_captures(target, sequences, request);
    const auto floats = static_cast<size_t>(wanted_rows(request) * target.source().info().vocabulary_size);
    if (request.logits != nullptr && floats > request.logits_capacity) {
        throw error(error_code::BUFFER_TOO_SMALL, "the logits take " + std::to_string(floats) +
                                                      " floats; the array given holds " +
                                                      std::to_string(request.logits_capacity));
    }
}

/// Walks the entries in passes of at most batch_size tokens.
class evaluator {
public:
    evaluator(context & target, sequence_table & sequences, const evaluate_request & request)
        : target_(target),
          sequences_(sequences),
          request_(request),
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

void check_tokens(const context & target, const std::vector<int32_t> & tokens) {
    const int32_t n_vocabulary = target.source().info().vocabulary_size;
    for (const int32_t token : tokens) {
        if (token < 0 || token >= n_vocabulary) {
            throw error(error_code::INVALID_ARGUMENT, "token " + std::to_string(token) +
                                                          " is not in the vocabulary (0 to " +
                                                          std::to_string(n_vocabulary - 1) + ")");
        }
    }
}

bool cut_back(context & target, sequence_table & sequences, int32_t sequence, int32_t position) {
    const bool kept = target.cut(sequence, position);
    sequences.set_position(sequence, kept ? position : 0);
    if (!kept) {
        sequences[sequence].pending.reset();
    }
    return !kept && position > 0;
}

evaluate_result evaluate(context & target, sequence_table & sequences, evaluate_request & request) {
    // An answer's last token has not been evaluated yet: it goes first.
    std::vector<std::optional<int32_t>> pending;
    for (evaluate_entry & entry : request.entries) {
        pending.push_back(sequences.exists(entry.sequence) ? sequences[entry.sequence].pending : std::nullopt);
        if (pending.back() && !entry.tokens.empty()) {
            entry.tokens.insert(entry.tokens.begin(), *pending.back());
            entry.carried = 1;
        }
    }
    check(target, sequences, request);

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
        status = evaluator(target, sequences, request).run();
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
