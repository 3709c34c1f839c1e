#include "steering/program_compiler.h"

#include "base/content_hash.h"

#include <algorithm>
#include <limits>

namespace llama_steer {

namespace {

row_programs * programs_of(std::deque<site_programs> & sites, int32_t site) {
    for (site_programs & each : sites) {
        if (each.site == site) {
            return &each.full;
        }
    }
    return nullptr;
}

/// Whether a latched condition may be decided for the token: from the last prompt token on.
bool follows_prompt(const batch_layout & layout, const token_row & token) {
    return layout.phase(token.sequence, token.position) != token_phase::prompt;
}

bool is_carried(const batch_layout & layout, const token_row & token) {
    const sequence_span & span = layout.span(token.sequence);
    return token.position < span.first_position + span.n_carried;
}

}  // namespace

void program_compiler::begin(std::deque<site_programs> & sites) {
    for (site_programs & each : sites) {
        each.full.clear();
        each.cut.clear();
    }
    own_.clear();
}

void program_compiler::add_row(std::deque<site_programs> & sites, const steering_list * list,
                               const batch_layout & layout, const token_row & token) {
    for (site_programs & each : sites) {
        each.full.begin_row();
    }
    if (list != nullptr) {
        for (const std::shared_ptr<intervention> & each : *list) {
            add_intervention(sites, *each, layout, token);
        }
    }
    if (token.output) {
        for (site_programs & each : sites) {
            each.cut.add_last_row_of(each.full);
        }
    }
}

void program_compiler::add_intervention(std::deque<site_programs> & sites, const intervention & each,
                                        const batch_layout & layout, const token_row & token) {
    const float strength = each.strength_at(layout, token.sequence, token.position, token.output);
    const bool measured = reports(each.kind()) &&
                          each.tokens().selects(layout, token.sequence, token.position, token.output) &&
                          token.position == layout.span(token.sequence).last_position();
    const bool acts = strength != 0.0F || measured;
    row_programs * programs = programs_of(sites, each.site());
    if (programs == nullptr || (!acts && each.when() == nullptr)) {
        return;
    }
    const int32_t truths = each.when() == nullptr ? 0 : add_truths(sites, *programs, *each.when(), layout, token, acts);
    if (acts) {
        programs->add(active_intervention{&each, strength, each.numbers().low, each.numbers().high, truths,
                                          measured ? reports_.place(each) : nullptr});
    }
}

int32_t program_compiler::add_truths(std::deque<site_programs> & sites, row_programs & programs, const condition & when,
                                     const batch_layout & layout, const token_row & token, bool acts) {
    int32_t first = -1;
    for (const condition_probe * probe : when.probes()) {
        probe_truth truth{probe};
        row_programs * measuring = programs_of(sites, probe->site);
        if (probe->latch == condition_latch::token) {
            if (acts && measuring != nullptr) {
                own_.push_back(std::numeric_limits<float>::quiet_NaN());
                truth.own = &own_.back();
                measuring->add(active_probe{probe, &own_.back()});
            }
        } else if (condition_memory::prompt_record * record = conditions_.record(*probe, layout, token.sequence)) {
            const bool in_prompt = layout.phase(token.sequence, token.position) != token_phase::generated;
            if (in_prompt && measuring != nullptr) {
                measuring->add(
                    active_probe{probe, &record->values[static_cast<size_t>(token.position - record->begin)]});
            }
            if (is_carried(layout, token)) {
                truth.decided = record->before;
            } else if (in_prompt) {
                truth.record = follows_prompt(layout, token) ? record : nullptr;
            } else {
                if (record->decided < 0) {
                    record->decided = condition_memory::decide(*probe, *record) ? 1 : 0;
                }
                truth.decided = record->decided;
            }
        }
        const int32_t index = programs.add_truth(truth);
        first = first < 0 ? index : first;
    }
    return first;
}

/// Whether a prompt decides it, for its last token too: as one of many, the same token would not be acted on.
static bool waits_for_prompt(const condition & when) {
    return std::any_of(when.probes().begin(), when.probes().end(),
                       [](const condition_probe * probe) { return probe->latch != condition_latch::token; });
}

uint64_t hash_of_actions(const steering_list * list, const batch_layout & layout, const token_row & token) {
    content_hash hash;
    bool any = false;
    for (size_t i = 0; list != nullptr && i < list->size(); ++i) {
        const intervention & each = *(*list)[i];
        const float strength = each.strength_at(layout, token.sequence, token.position, token.output);
        if (strength != 0.0F && each.kind() != operation::observe) {
            hash.add(each.hash()).add(strength).add(each.numbers().low).add(each.numbers().high);
            any = true;
        }
        const token_phase phase = layout.phase(token.sequence, token.position);
        if (each.when() != nullptr && phase != token_phase::generated) {
            hash.add(each.when()->hash());
            hash.add(waits_for_prompt(*each.when()) && phase == token_phase::last_prompt);
            any = true;
        }
    }
    return any ? hash.value() : 0;
}

}  // namespace llama_steer
