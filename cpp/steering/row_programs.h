#pragma once

#include "steering/condition_memory.h"
#include "steering/intervention.h"

#include <cstdint>
#include <vector>

namespace llama_steer {

/// Where the truth of one probe comes from for one row.
struct probe_truth {
    const condition_probe * probe;
    const float * own = nullptr;                               ///< measured on this row
    const condition_memory::prompt_record * record = nullptr;  ///< measured on a prompt that ends in this pass
    int8_t decided = -1;                                       ///< where neither is given: 0, 1, -1 undecided
};

/// One intervention on one row, at every layer of its directions.
struct active_intervention {
    const intervention * source;
    float strength;
    float low;
    float high;
    int32_t first_truth;  ///< of source->when(), in row_programs::truths
    float * report;       ///< [layers][count] for the projections found; null: not reported
};

/// One measurement on one row.
struct active_probe {
    const condition_probe * probe;
    float * value;
};

/// What is to be done to the rows of one site in one micro-batch, compiled from the lists of the sequences. Rows with
/// nothing to do cost nothing.
class row_programs {
public:
    void clear();
    void begin_row();
    void add(const active_intervention & each) { interventions_.push_back(each); }
    void add(const active_probe & each) { probes_.push_back(each); }
    int32_t add_truth(const probe_truth & each) {
        truths_.push_back(each);
        return static_cast<int32_t>(truths_.size()) - 1;
    }
    /// Appends the last row of `other`.
    void add_last_row_of(const row_programs & other);

    int64_t n_rows() const { return static_cast<int64_t>(rows_.size()); }

    template <typename element>
    struct range {
        const element * first;
        const element * last;
        const element * begin() const { return first; }
        const element * end() const { return last; }
    };
    range<active_intervention> interventions(int64_t row) const {
        const auto i = static_cast<size_t>(row);
        const size_t end = i + 1 < rows_.size() ? rows_[i + 1].intervention : interventions_.size();
        return {interventions_.data() + rows_[i].intervention, interventions_.data() + end};
    }
    range<active_probe> probes(int64_t row) const {
        const auto i = static_cast<size_t>(row);
        const size_t end = i + 1 < rows_.size() ? rows_[i + 1].probe : probes_.size();
        return {probes_.data() + rows_[i].probe, probes_.data() + end};
    }
    const probe_truth * truths(int32_t first) const { return truths_.data() + first; }

private:
    struct row_begin {
        size_t intervention;
        size_t probe;
    };
    std::vector<row_begin> rows_;
    std::vector<active_intervention> interventions_;
    std::vector<active_probe> probes_;
    std::vector<probe_truth> truths_;
};

}  // namespace llama_steer
