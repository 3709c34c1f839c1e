#include "steering/row_programs.h"

namespace llama_steer {

void row_programs::clear() {
    rows_.clear();
    interventions_.clear();
    probes_.clear();
    truths_.clear();
}

void row_programs::begin_row() { rows_.push_back({interventions_.size(), probes_.size()}); }

void row_programs::add_last_row_of(const row_programs & other) {
    begin_row();
    const int64_t last = other.n_rows() - 1;
    for (active_intervention each : other.interventions(last)) {
        if (const condition * when = each.source->when()) {
            const probe_truth * truths = other.truths(each.first_truth);
            each.first_truth = static_cast<int32_t>(truths_.size());
            truths_.insert(truths_.end(), truths, truths + when->probes().size());
        }
        add(each);
    }
    for (const active_probe & each : other.probes(last)) {
        add(each);
    }
}

}  // namespace llama_steer
