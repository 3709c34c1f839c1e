#include "engine/evaluation_checks.h"

#include "base/error.h"

#include <algorithm>
#include <string>

namespace llama_steer {

namespace {

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

}  // namespace

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

int64_t wanted_rows(const evaluate_request & request) {
    int64_t rows = 0;
    for (const evaluate_entry & entry : request.entries) {
        rows += entry.logits == logits_rows::all ? static_cast<int64_t>(entry.tokens.size()) - entry.carried
                                                 : static_cast<int64_t>(entry.logits == logits_rows::last);
    }
    return rows;
}

int32_t prompt_end(const sequence_table & sequences, const evaluate_entry & entry) {
    const bool completes = entry.ends_prompt && !entry.generated;
    return completes ? sequences.position(entry.sequence) + static_cast<int32_t>(entry.tokens.size()) : -1;
}

std::vector<std::shared_ptr<tap>> taps_that_need_outputs(context & target) {
    std::vector<std::shared_ptr<tap>> taps = target.graph().taps(tap_occasion::evaluation);
    const int n_layers = target.source().info().n_layers;
    taps.erase(
        std::remove_if(taps.begin(), taps.end(), [&](const auto & each) { return !each->needs_outputs(n_layers); }),
        taps.end());
    return taps;
}

void check_evaluation(context & target, sequence_table & sequences, evaluate_request & request) {
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

}  // namespace llama_steer
