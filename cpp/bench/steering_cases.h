#pragma once

#include "bench/other_steering_sides.h"
#include "bench/side_kind.h"
#include "bench/steered_side.h"
#include "bench/steering_lists.h"

#include <cstdint>
#include <memory>
#include <string>
#include <utility>
#include <vector>

namespace llama_steer::bench {

/// How many of the cases are measured where steps are slow.
enum class breadth : uint8_t { least, some, all };

struct steering_case {
    side_kind kind;
    double bytes_touched = 0;  ///< per step: rows read and written, rows measured, directions read once
    double limit = 0;          ///< of the ratio, where there is a goal; 0: none
    breadth from = breadth::all;
};

/// The cases of one workload.
class steering_cases {
public:
    steering_cases(std::shared_ptr<const model> source, const workload & work, const context_options & options,
                   bool on_host)
        : source_(std::move(source)),
          work_(work),
          options_(options),
          on_host_(on_host),
          lists_(source_->info()),
          all_(lists_.all_layers()) {}

    /// Against a plain context.
    std::vector<steering_case> against_plain(breadth wanted) const {
        const int middle = source_->info().n_layers / 2;
        const int early = source_->info().n_layers / 4;
        const std::vector<int> cvec = layers_between(1, source_->info().n_layers);
        const std::string layers = "at all layers";
        std::vector<steering_case> cases = {
            {{"control: the baseline again", side_role::control, plain()}, 0, 0, breadth::least},
            {{"idle", side_role::other, own(unsteered)}, 0, 1.003, breadth::least},
            {{"add at one layer", side_role::other, own(lists_.add({middle}))}, touched({middle}, 1), 0},
            {{"add " + layers, side_role::other, own(lists_.add(all_))}, touched(all_, 1), 1.01, breadth::least},
            {{"three vectors " + layers, side_role::other, own(lists_.add_several(all_, 3))}, touched(all_, 3), 0},
            {{"ablate " + layers, side_role::other, own(lists_.ablate(all_))}, touched(all_, 1), 0, breadth::some},
            {{"add on condition, behind layer " + std::to_string(early), side_role::other,
              own(lists_.add_on_condition(early))},
             touched(layers_between(early + 1, source_->info().n_layers), 1) + measured(),
             0,
             breadth::some},
            {{"upstream's control vector", side_role::other, control_vector(cvec, false)},
             touched(cvec, 1),
             0,
             breadth::least},
            {{"the same, new strength every pass", side_role::other, control_vector(cvec, true)}, touched(cvec, 1), 0},
        };
        if (on_host_) {
            cases.push_back(
                {{"editing under cb_eval " + layers, side_role::other, editing(all_)}, touched(all_, 1), 0});
        }
        return of_breadth(std::move(cases), wanted);
    }

    /// What the sides of `against_one_list` are held against, in their context: what differs is what they do, not where
    /// memory lies.
    struct one_context {
        side_factory baseline;
        std::vector<steering_case> cases;
    };
    /// Against one vector at all layers, with a constant strength.
    one_context against_one_list() const {
        const auto shared = std::make_shared<std::weak_ptr<steered_context>>();
        const auto context = [=, source = source_, options = options_] {
            std::shared_ptr<steered_context> made = shared->lock();
            if (made == nullptr) {
                made = std::make_shared<steered_context>(source, options);
                *shared = made;
            }
            return made;
        };
        const int32_t sequences = work_.sequences;
        const auto in_context = [=](const list_maker & lists) -> side_factory {
            return
                [=]() -> std::unique_ptr<side> { return std::make_unique<steered_side>(context(), lists(sequences)); };
        };
        const list_maker one = lists_.add(all_);
        one_context made;
        made.baseline = in_context(one);
        made.cases.push_back({{"control: one list again", side_role::control, in_context(one)}, touched(all_, 1)});
        if (sequences > 1) {
            const bool has_goal = sequences >= 128;
            made.cases.push_back({{std::to_string(sequences) + " distinct lists", side_role::other,
                                   in_context(lists_.add_distinct(all_))},
                                  touched(all_, sequences),
                                  has_goal ? 1.01 : 0});
        }
        made.cases.push_back({{"new strength for each, every pass", side_role::other,
                               [=]() -> std::unique_ptr<side> {
                                   return std::make_unique<restrengthened_side>(context(), one(sequences));
                               }},
                              touched(all_, 1),
                              1.005});
        return made;
    }

private:
    static std::vector<std::shared_ptr<const steering_list>> unsteered(int32_t sequences) {
        return std::vector<std::shared_ptr<const steering_list>>(static_cast<size_t>(sequences));
    }
    static std::vector<steering_case> of_breadth(std::vector<steering_case> cases, breadth wanted) {
        cases.erase(
            std::remove_if(cases.begin(), cases.end(), [=](const steering_case & each) { return each.from > wanted; }),
            cases.end());
        return cases;
    }

    side_factory plain() const {
        return [source = source_, options = options_]() -> std::unique_ptr<side> {
            return std::make_unique<plain_side>(source, options);
        };
    }
    /// In a context of its own.
    side_factory own(list_maker lists) const {
        return [source = source_, options = options_, lists = std::move(lists)]() -> std::unique_ptr<side> {
            return std::make_unique<steered_side>(std::make_shared<steered_context>(source, options),
                                                  lists(options.max_sequences));
        };
    }
    side_factory control_vector(const std::vector<int> & layers, bool renewed) const {
        return [=, source = source_, options = options_]() -> std::unique_ptr<side> {
            return std::make_unique<cvec_side>(source, options, random_vectors(layers, source->info().hidden_size, 1),
                                               0.5F, renewed);
        };
    }
    side_factory editing(const std::vector<int> & layers) const {
        return [=, source = source_, options = options_]() -> std::unique_ptr<side> {
            return std::make_unique<editing_side>(source, options,
                                                  random_vectors(layers, source->info().hidden_size, 1), 0.5F);
        };
    }

    double row_bytes() const { return static_cast<double>(source_->info().hidden_size) * sizeof(float); }
    double touched(const std::vector<int> & layers, int vectors) const {
        double rows = 0;
        for (const int layer : layers) {
            // The last block computes the rows whose logits are asked for.
            const bool last = layer + 1 == source_->info().n_layers;
            rows += 2.0 * (last ? work_.sequences : work_.tokens_per_step()) + vectors;
        }
        return rows * row_bytes();
    }
    double measured() const { return (work_.tokens_per_step() + 1) * row_bytes(); }

    std::shared_ptr<const model> source_;
    workload work_;
    context_options options_;
    bool on_host_;
    steering_lists lists_;
    std::vector<int> all_;
};

}  // namespace llama_steer::bench
