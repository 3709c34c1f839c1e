// Runs the steps of a scenario on one engine, again and again with other lists, and keeps the rows of some sites.
#pragma once

#include "scenarios.h"
#include "steering_formulas.h"

#include <map>
#include <memory>
#include <string>
#include <utility>
#include <vector>

namespace llama_steer::scenarios {

/// Where rows are: site and layer.
using place = std::pair<std::string, int>;

/// The rows of one place over all steps, and whose they are.
struct kept_rows {
    size_t width = 0;
    std::vector<row_label> labels;
    std::vector<float> rows;

    const float * data(size_t row) const { return rows.data() + row * width; }
    formulas::row row(size_t index) const { return formulas::row_of(data(index), width); }
    /// The row of the same token in other rows of this run or of another.
    size_t same(const row_label & wanted) const {
        return static_cast<size_t>(std::find_if(labels.begin(), labels.end(),
                                                [&](const row_label & each) { return same_label(each, wanted); }) -
                                   labels.begin());
    }
};
using kept = std::map<place, kept_rows>;

/// Prompt tokens that a sequence of a scenario has.
inline int32_t prompt_tokens(int32_t sequence) { return tokens_in_step(0, sequence) + tokens_in_step(1, sequence); }

inline bool is_selected(token_scope scope, const row_label & label) {
    const int32_t last = prompt_tokens(label.sequence) - 1;
    switch (scope) {
        case token_scope::prompt:
            return label.position <= last;
        case token_scope::last_prompt:
            return label.position == last;
        case token_scope::generated:
            return label.position > last;
        case token_scope::last_prompt_and_generated:
            return label.position >= last;
        default:
            return true;
    }
}

/// An engine with captures of sites; every run begins with empty sequences and feeds the same tokens.
class site_runner {
public:
    site_runner(std::shared_ptr<const model> source, const scenario & each, const std::vector<std::string> & sites)
        : source_(std::move(source)), scenario_(each), engine_(exact_options(each), source_) {
        for (const std::string & site : sites) {
            std::map<int64_t, std::vector<int>> layers_by_width;
            for (const auto & [layer, shape] : source_->sites().at(site)) {
                layers_by_width[shape.width].push_back(layer);
            }
            for (const auto & [width, layers] : layers_by_width) {
                scenario one = each;
                one.site = site;
                one.width = width;
                one.layers = layers;
                recordings_.push_back(std::make_unique<recording>(*source_, token_scope::all, one));
                engine_.attach(recordings_.back()->target());
            }
        }
    }

    testbed::waiting_engine & engine() { return engine_; }

    /// Lists by sequence; what has none is not steered.
    kept run(const std::vector<std::shared_ptr<const steering_list>> & lists) {
        for (int32_t sequence = 0; sequence < scenario_.sequences; ++sequence) {
            engine_.truncate(sequence, 0);
            const auto index = static_cast<size_t>(sequence);
            engine_.steer(sequence, index < lists.size() ? lists[index] : nullptr);
        }
        token_source tokens;
        kept result;
        for (int step = 0; step < n_steps; ++step) {
            keep(engine_.evaluate(entries_of_step(step, scenario_, tokens)), result);
        }
        return result;
    }

    /// Keys and values in float32 and no flash attention: nothing rounds by what else is in the batch.
    static context_options exact_options(const scenario & each) {
        context_options options = options_of(each);
        options.float32_memory = true;
        options.attention = flash_attention::off;
        return options;
    }

private:
    void keep(const evaluate_result & result, kept & to) const {
        for (size_t i = 0; i < recordings_.size(); ++i) {
            const recording & from = *recordings_[i];
            for (const int layer : from.target()->layers()) {
                kept_rows & rows = to[{from.target()->request().site, layer}];
                rows.width = from.width();
                const std::vector<row_label> & labels = recording::labels(result, layer, i);
                rows.labels.insert(rows.labels.end(), labels.begin(), labels.end());
                for (size_t row = 0; row < labels.size(); ++row) {
                    rows.rows.insert(rows.rows.end(), from.row(layer, row), from.row(layer, row) + from.width());
                }
            }
        }
    }

    std::shared_ptr<const model> source_;
    scenario scenario_;
    std::vector<std::unique_ptr<recording>> recordings_;
    testbed::waiting_engine engine_;  // last: its thread writes to the recordings
};

}  // namespace llama_steer::scenarios
