#include "engine/generation.h"

#include "base/error.h"
#include "engine/evaluation.h"
#include "engine/evaluation_checks.h"
#include "engine/failures.h"
#include "engine/prefix_sharing.h"
#include "model/tokenizer.h"

#include <algorithm>
#include <string>

namespace llama_steer {

generation::generation(operation_id id, generate_request request, std::shared_ptr<sampler> chooser, context & target,
                       sequence_table & sequences)
    : id_(id),
      request_(std::move(request)),
      target_(target),
      sequences_(sequences),
      sampler_(std::move(chooser)),
      stops_(request_.stop_strings) {
    const std::string name = "sequence " + std::to_string(request_.sequence);
    if (!sequences_.exists(request_.sequence)) {
        throw error(error_code::INVALID_ARGUMENT, name + " does not exist in this context");
    }
    if (request_.max_tokens < 1) {
        throw error(error_code::INVALID_ARGUMENT, "maxTokens must be 1 or more");
    }
    sequence_table::state & state = sequences_[request_.sequence];
    if (state.generating) {
        throw error(error_code::SEQUENCE_BUSY, name + " is generating already: wait for it or abort it first");
    }
    check_tokens(target_, request_.prompt);
    start_ = sequences_.position(request_.sequence);
    carried_ = state.pending;
    if (carried_) {
        request_.prompt.insert(request_.prompt.begin(), *carried_);
    }
    if (request_.prompt.empty()) {
        throw error(error_code::PROMPT_EMPTY, "the prompt has no tokens: give at least one");
    }
    const int64_t end = start_ + static_cast<int64_t>(request_.prompt.size());
    if (end > target_.options().context_size) {
        throw error(error_code::PROMPT_TOO_LONG, name + " would hold " + std::to_string(end) +
                                                     " tokens; the context holds " +
                                                     std::to_string(target_.options().context_size) +
                                                     " per sequence: shorten the prompt or raise contextSize");
    }
    if (request_.capture) {
        check_capture();
        target_.graph().attach(request_.capture);
    }
    for (const int32_t token : request_.prompt) {
        sampler_->accept(token);
    }
    if (request_.share_prefix && start_ == 0 && !request_.capture) {
        shared_ = llama_steer::share_prefix(target_, sequences_, request_.sequence, request_.prompt);
        cursor_ = static_cast<size_t>(shared_);
    }
    state.pending.reset();
    state.generating = true;
}

generation::~generation() {
    sequences_[request_.sequence].generating = false;
    if (request_.capture) {
        target_.graph().detach(request_.capture);
    }
}

/// No row of the answer may find the memory full: what it can come to is known before it begins. The last token chosen
/// is not evaluated any more.
void generation::check_capture() const {
    const tap & capture = *request_.capture;
    batch_layout & layout = target_.graph().layout();
    layout.clear();
    const auto n_prompt = static_cast<int32_t>(request_.prompt.size());
    layout.set(request_.sequence, {start_, n_prompt, carried_ ? 1 : 0, false, start_ + n_prompt},
               request_.prompt.data());
    int64_t needed = 0;
    for (int32_t i = 0; i < n_prompt; ++i) {
        needed += capture.selects(layout, request_.sequence, start_ + i, i + 1 == n_prompt) ? 1 : 0;
    }
    const int32_t answer_begin = start_ + n_prompt;
    const int32_t answer_rows = std::min(request_.max_tokens - 1, target_.options().context_size - answer_begin);
    const token_selection & rows = capture.request().rows.selection();
    switch (rows.scope) {
        case token_scope::prompt:
        case token_scope::last_prompt:
            break;
        case token_scope::positions:
            needed += std::count_if(rows.positions.begin(), rows.positions.end(), [&](int32_t position) {
                return position >= answer_begin && position - answer_begin < answer_rows;
            });
            break;
        default:
            needed += answer_rows;
    }
    if (needed > capture.destination().capacity) {
        throw error(error_code::BUFFER_TOO_SMALL,
                    "this answer may bring " + std::to_string(needed) + " rows; its capture has room for " +
                        std::to_string(capture.destination().capacity) + ": give a larger capacity or lower maxTokens");
    }
}

generation_end generation::end() const {
    generation_end end = *end_;
    end.shared_tokens = shared_;
    if (!end.failure) {
        end.failure = missing_marker();
    }
    if (request_.capture && !end.failure) {
        end.captured = labels_of(request_.capture);
    }
    return end;
}

int32_t generation::growth() const {
    // The last token chosen is not evaluated any more.
    const int64_t end = int64_t{start_} + static_cast<int64_t>(request_.prompt.size()) + request_.max_tokens - 1;
    return static_cast<int32_t>(std::min<int64_t>(end, target_.options().context_size)) -
           sequences_.position(request_.sequence);
}

void generation::join(pass & next, int32_t most) {
    sequence_table::state & state = sequences_[request_.sequence];
    const int32_t position = sequences_.position(request_.sequence);
    output_ = -1;
    if (answering()) {
        joined_ = 1;
        output_ = next.add(request_.sequence, {position, 1, 0, true, -1}, &*state.pending);
        next.want_logits(output_);
        return;
    }
    joined_ = std::min({most, next.room(), prompt_left()});
    if (joined_ == 0) {
        return;
    }
    const bool complete = cursor_ + static_cast<size_t>(joined_) == request_.prompt.size();
    const int32_t carried = carried_ && cursor_ == 0 ? 1 : 0;
    const int32_t prompt_end = start_ + static_cast<int32_t>(request_.prompt.size());
    const int32_t first =
        next.add(request_.sequence, {position, joined_, carried, false, prompt_end}, request_.prompt.data() + cursor_);
    if (request_.capture && request_.capture->needs_outputs(target_.source().info().n_layers)) {
        next.want_captured(*request_.capture, request_.sequence, first);
    }
    if (complete) {
        output_ = first + joined_ - 1;
        next.want_logits(output_);
    }
}

void generation::advance(step_events & events, std::vector<llama_token_data> & scratch) {
    sequence_table::state & state = sequences_[request_.sequence];
    const int32_t position = sequences_.position(request_.sequence) + joined_;
    sequences_.set_position(request_.sequence, position);
    if (answering()) {
        state.pending.reset();
    } else {
        cursor_ += static_cast<size_t>(joined_);
    }
    joined_ = 0;
    if (output_ < 0) {
        return;
    }

    const std::optional<sampled_token> chosen = choose(scratch);
    if (!chosen) {
        release(events);
        return;
    }
    state.pending = chosen->token;
    if (is_stop(chosen->token)) {
        end_ = generation_end{id_, finish_reason::stop, nullptr, std::nullopt, chosen->token};
        release(events);
        return;
    }
    ++generated_;
    report({*chosen, projections()}, events);
    if (const std::optional<int32_t> string = stops_.found()) {
        end_ = generation_end{id_, finish_reason::stop, nullptr, std::nullopt, -1, *string};
    } else if (generated_ == request_.max_tokens) {
        end_ = generation_end{id_, finish_reason::length, nullptr, std::nullopt};
    } else if (position >= target_.options().context_size) {
        end_ = generation_end{id_, finish_reason::context, nullptr, std::nullopt};
    }
    if (end_) {
        release(events);
    }
}

/// Nothing, and the end, where no token can be chosen.
std::optional<sampled_token> generation::choose(std::vector<llama_token_data> & scratch) {
    try {
        return sampler_->sample(target_.logits(output_), scratch);
    } catch (...) {
        end_ = generation_end{id_, finish_reason::stop, std::current_exception(), std::nullopt};
        return std::nullopt;
    }
}

void generation::report(answer_token token, step_events & events) {
    if (!stops_.active()) {
        events.tokens.push_back({id_, std::move(token)});
        return;
    }
    token_bytes(target_.source(), token.chosen.token, false, text_);
    stops_.push(std::move(token), text_);
    report_decided(events);
}

void generation::report_decided(step_events & events) {
    while (std::optional<stop_filter::decided_token> next = stops_.next()) {
        events.tokens.push_back({id_, std::move(next->token), next->text_bytes});
    }
}

void generation::release(step_events & events) {
    stops_.release();
    report_decided(events);
}

void generation::undo() {
    if (!answering()) {
        const bool cleared = cut_back(target_, sequences_, request_.sequence, start_);
        sequences_[request_.sequence].pending = cleared ? std::nullopt : carried_;
    } else if (joined_ > 0) {
        cut_back(target_, sequences_, request_.sequence, sequences_.position(request_.sequence));
    }
}

std::vector<projection_report> generation::projections() const {
    std::vector<projection_report> found;
    instrumentation & graph = target_.graph();
    if (const steering_list * list = graph.steering().list(request_.sequence)) {
        for (const std::shared_ptr<intervention> & each : *list) {
            if (const std::vector<float> * values =
                    reports(each->kind()) ? graph.reports().find(each->id()) : nullptr) {
                found.push_back({each->id(), *values});
            }
        }
    }
    return found;
}

std::exception_ptr generation::missing_marker() const {
    const instrumentation & graph = target_.graph();
    const steering_list * list = graph.steering().list(request_.sequence);
    if (list != nullptr && std::any_of(list->begin(), list->end(), [&](const auto & each) {
            return each->misses_marker(graph.layout(), request_.sequence);
        })) {
        return make_failure(error_code::MARKER_NOT_SEEN,
                            "the answer ended without the opening marker that steering between markers required: allow "
                            "more tokens, or leave out required");
    }
    return nullptr;
}

bool generation::is_stop(int32_t token) const {
    return llama_vocab_is_eog(target_.source().vocabulary(), token) ||
           std::find(request_.stop_tokens.begin(), request_.stop_tokens.end(), token) != request_.stop_tokens.end();
}

}  // namespace llama_steer
