#include "steering/row_kernel.h"

#include "steering/vector_math.h"

#include <algorithm>
#include <cmath>

namespace llama_steer {

namespace {

constexpr int max_batched_sums = 4;

/// One row, and the terms that are still to be added to it.
class row_editor {
public:
    row_editor(float * row, int64_t width) : row_(row), width_(width) {}
    ~row_editor() { flush(); }
    row_editor(const row_editor &) = delete;
    row_editor & operator=(const row_editor &) = delete;

    /// Adds factor * vector, together with what is added next.
    void add(const float * vector, float factor) {
        vectors_[pending_] = vector;
        factors_[pending_] = factor;
        if (++pending_ == max_batched_sums) {
            flush();
        }
    }
    double projection(const float * vector) {
        flush();
        return dot(vector, row_, width_);
    }
    double squared_norm() {
        flush();
        return dot(row_, row_, width_);
    }
    void rescale(float factor) {
        flush();
        scale(row_, factor, width_);
    }

private:
    void flush() {
        if (pending_ > 0) {
            add_scaled(row_, vectors_, factors_, pending_, width_);
            pending_ = 0;
        }
    }

    float * row_;
    int64_t width_;
    const float * vectors_[max_batched_sums];
    float factors_[max_batched_sums];
    int pending_ = 0;
};

/// Adds to each direction written what `change` makes of the projection on the direction read. All projections are
/// taken first; more than fit on the stack are taken in groups, which is the same where the directions are orthogonal
/// or dual to each other.
template <typename changing>
void change_projections(row_editor & row, const layer_directions & along, int64_t width, changing change) {
    constexpr int32_t group = 64;
    double found[group];
    for (int32_t begin = 0; begin < along.count; begin += group) {
        const int32_t count = std::min(group, along.count - begin);
        for (int32_t i = 0; i < count; ++i) {
            found[i] = row.projection(along.read + (begin + i) * width);
        }
        for (int32_t i = 0; i < count; ++i) {
            row.add(along.write + (begin + i) * width, static_cast<float>(change(found[i], begin + i)));
        }
    }
}

/// Turns the row's part in the plane; cos - 1 without cancellation.
void rotate(row_editor & row, const layer_directions & plane, int64_t width, double angle) {
    const double half = std::sin(angle / 2);
    const double less = -2 * half * half;
    const double sine = std::sin(angle);
    const double x = row.projection(plane.read);
    const double y = row.projection(plane.read + width);
    row.add(plane.write, static_cast<float>(less * x - sine * y));
    row.add(plane.write + width, static_cast<float>(sine * x + less * y));
}

void bound(row_editor & row, const active_intervention & active, const layer_directions & along, int64_t width) {
    const auto unit = static_cast<double>(along.unit);
    const double low = unit * static_cast<double>(active.low);
    const double high = unit * static_cast<double>(active.high);
    float * report = active.report == nullptr ? nullptr : active.report + along.first;
    change_projections(row, along, width, [&](double found, int32_t i) {
        if (report != nullptr) {
            report[i] = static_cast<float>(found);
        }
        return static_cast<double>(active.strength) * (std::clamp(found, low, high) - found);
    });
}

void apply(row_editor & row, const active_intervention & active, const layer_directions & along, int64_t width) {
    const auto strength = static_cast<double>(active.strength);
    switch (active.source->kind()) {
        case operation::add:
            row.add(along.write, active.strength);
            return;
        case operation::ablate:
            change_projections(row, along, width, [&](double found, int32_t) { return -strength * found; });
            return;
        case operation::affine:
            change_projections(row, along, width, [&](double found, int32_t) { return strength * found; });
            if (along.bias != nullptr) {
                row.add(along.bias, active.strength);
            }
            return;
        case operation::rotate:
            rotate(row, along, width, strength);
            return;
        case operation::clamp:
        case operation::set:
        case operation::track:
            bound(row, active, along, width);
            return;
        case operation::observe:
            if (active.report != nullptr) {
                for (int32_t i = 0; i < along.count; ++i) {
                    active.report[along.first + i] = static_cast<float>(row.projection(along.read + i * width));
                }
            }
            return;
    }
}

void apply_keeping_norm(row_editor & row, const active_intervention & active, const layer_directions & along,
                        int64_t width) {
    const double before = row.squared_norm();
    apply(row, active, along, width);
    const double after = row.squared_norm();
    if (after > 0) {
        row.rescale(static_cast<float>(std::sqrt(before / after)));
    }
}

float measured(const condition_probe & probe, const float * row, int64_t width) {
    const double projection = dot(probe.direction->layer(probe.layer)->read, row, width);
    if (probe.measure == condition_measure::projection) {
        return static_cast<float>(projection);
    }
    const double norm = std::sqrt(dot(row, row, width));
    return norm > 0 ? static_cast<float>(projection / norm) : 0.0F;
}

/// 1 or 0; -1 where it is undecided here.
int truth_of(const probe_truth & truth, const site_rows & rows) {
    const condition_probe & probe = *truth.probe;
    if (truth.own != nullptr) {
        return std::isnan(*truth.own) ? -1 : probe.fulfilled_by(*truth.own);
    }
    if (truth.record != nullptr) {
        // Other rows of the site where it is measured may be at work on other threads, or still to come.
        const bool here = probe.site == rows.site && probe.layer == rows.layer;
        if (std::isnan(truth.record->values.back()) || (here && probe.latch != condition_latch::last_prompt)) {
            return -1;
        }
        return condition_memory::decide(probe, *truth.record);
    }
    return truth.decided;
}

bool is_fulfilled(const active_intervention & active, const row_programs & programs, const site_rows & rows) {
    const condition * when = active.source->when();
    if (when == nullptr) {
        return true;
    }
    const probe_truth * truths = programs.truths(active.first_truth);
    bool values[condition::max_probes];
    for (size_t i = 0; i < when->probes().size(); ++i) {
        const int truth = truth_of(truths[i], rows);
        if (truth < 0) {
            return false;
        }
        values[i] = truth == 1;
    }
    return when->fulfilled(values);
}

void run_row(float * row, const site_rows & rows, const row_programs & programs, int64_t index) {
    for (const active_probe & each : programs.probes(index)) {
        if (each.probe->layer == rows.layer) {
            *each.value = measured(*each.probe, row, rows.width);
        }
    }
    row_editor editor(row, rows.width);
    for (const active_intervention & each : programs.interventions(index)) {
        const layer_directions * along = each.source->directions().layer(rows.layer);
        if (along == nullptr || !is_fulfilled(each, programs, rows)) {
            continue;
        }
        if (each.source->preserve_norm()) {
            apply_keeping_norm(editor, each, *along, rows.width);
        } else {
            apply(editor, each, *along, rows.width);
        }
    }
}

}  // namespace

void run_programs(const site_rows & rows, const row_programs & programs, int ith, int nth) {
    const int64_t count = std::min(rows.count, programs.n_rows());
    for (int64_t row = ith; row < count; row += nth) {
        run_row(rows.data + row * rows.row_stride, rows, programs, row);
    }
}

}  // namespace llama_steer
