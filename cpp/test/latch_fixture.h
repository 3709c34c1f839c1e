// Conditions decided by prompts, on tiny models: thresholds put where a prompt does or does not fulfil them, by the
// formulas; and an engine that says which tokens were acted on.
#pragma once

#include "check.h"
#include "recipes.h"
#include "scenarios.h"
#include "synthetic_models.h"

#include <algorithm>
#include <map>
#include <memory>
#include <numeric>
#include <string>
#include <utility>
#include <vector>

namespace llama_steer::latches {

constexpr int early_layer = 0;
constexpr int place_layer = 1;
constexpr int late_layer = 3;

using condition_ptr = std::shared_ptr<const condition>;

inline std::vector<int32_t> tokens_from(int32_t first, int32_t count) {
    std::vector<int32_t> tokens(static_cast<size_t>(count));
    std::iota(tokens.begin(), tokens.end(), first);
    return tokens;
}

using testbed::exact_options;

inline evaluate_entry entry_of(int32_t sequence, std::vector<int32_t> tokens, bool generated = false,
                               bool ends_prompt = true) {
    evaluate_entry made;
    made.sequence = sequence;
    made.tokens = std::move(tokens);
    made.generated = generated;
    made.ends_prompt = ends_prompt;
    made.logits = logits_rows::all;
    return made;
}

struct latch_case {
    condition_latch latch;
    condition_measure measure;
    bool above;
    int layer;  ///< where it is measured, on the residual stream
};

/// One model, a direction that is measured, and an addition that is easy to see.
class fixture {
public:
    explicit fixture(const std::string & architecture)
        : source_(synthetic::tiny_model(architecture)),
          probe_({operation::observe, 1}, "residual", testbed::all_layers(*source_), width(), source_->info().n_layers,
                 401),
          act_({operation::add, 1, 1}, "residual", {place_layer}, width(), source_->info().n_layers, 402) {}

    const std::shared_ptr<const model> & source() const { return source_; }
    int64_t width() const { return source_->info().hidden_size; }
    formulas::row addition() const { return act_.action(place_layer).vectors[0]; }

    /// The addition, where `when` is fulfilled; a list of nothing where that is null.
    std::shared_ptr<const steering_list> list(const condition_ptr & when) const {
        auto made = std::make_shared<steering_list>();
        intervention_request request = act_.request();
        request.when = when;
        made->push_back(std::make_shared<intervention>(request));
        return made;
    }

    condition_ptr condition_with(const latch_case & each, double threshold) const {
        condition_probe leaf;
        leaf.site = site_id("residual");
        leaf.layer = each.layer;
        leaf.direction = probe_.directions();
        leaf.measure = each.measure;
        leaf.latch = each.latch;
        leaf.above = each.above;
        leaf.threshold = static_cast<float>(threshold);
        return std::make_shared<const condition>(leaf);
    }

    /// One that `prompt` fulfils, or just does not.
    condition_ptr condition_for(const latch_case & each, const std::vector<int32_t> & prompt, bool fulfilled) const {
        const double decisive = decided_by(each, measured(each, prompt));
        return condition_with(each, decisive + (fulfilled == each.above ? -margin : margin));
    }

    /// One that tells the first prompt of a conversation from the second.
    condition_ptr condition_between(latch_case each, std::vector<int32_t> first, const std::vector<int32_t> & answer,
                                    const std::vector<int32_t> & second, bool first_fulfils) const {
        each.above = true;
        const double a = decided_by(each, measured(each, first));
        const size_t before = first.size() + answer.size();
        first.insert(first.end(), answer.begin(), answer.end());
        first.insert(first.end(), second.begin(), second.end());
        std::vector<double> rest = measured(each, first);
        rest.erase(rest.begin(), rest.begin() + static_cast<long>(before));
        const double b = decided_by(each, rest);
        const condition_ptr higher = condition_with(each, (a + b) / 2);
        return (a > b) == first_fulfils
                   ? higher
                   : std::make_shared<const condition>(condition::rule::negate, std::vector<condition_ptr>{higher});
    }

    /// What it measures on the tokens of an unsteered sequence.
    std::vector<double> measured(const latch_case & each, const std::vector<int32_t> & tokens) const {
        testbed::waiting_engine plain(exact_options(1), source_);
        const testbed::recording rows(token_scope::all, 256, "residual", *source_);
        plain.attach(rows.target);
        plain.evaluate({entry_of(0, tokens)});
        const formulas::row c = probe_.action(each.layer).vectors[0];
        std::vector<double> values;
        for (size_t i = 0; i < tokens.size(); ++i) {
            const float * row = rows.row(static_cast<size_t>(each.layer), static_cast<int64_t>(i));
            values.push_back(formulas::measure(each.measure, c, formulas::row_of(row, static_cast<size_t>(width()))));
        }
        return values;
    }

    /// The number that is compared with the threshold.
    static double decided_by(const latch_case & each, const std::vector<double> & values) {
        switch (each.latch) {
            case condition_latch::prompt_mean:
                return std::accumulate(values.begin(), values.end(), 0.0) / static_cast<double>(values.size());
            case condition_latch::prompt_any:
                return each.above ? *std::max_element(values.begin(), values.end())
                                  : *std::min_element(values.begin(), values.end());
            default:
                return values.back();
        }
    }

    static constexpr double margin = 2e-3;

private:
    std::shared_ptr<const model> source_;
    recipes::described probe_;
    recipes::described act_;
};

/// An engine whose feeds say which of their tokens the fixture's addition acted on.
class watched_engine {
public:
    watched_engine(const fixture & owner, const context_options & options)
        : owner_(owner), rows_(token_scope::all, 1024, "residual", *owner.source()), engine_(options, owner.source()) {
        engine_.attach(rows_.target);
    }

    testbed::waiting_engine & engine() { return engine_; }
    void steer(int32_t sequence, std::shared_ptr<const steering_list> list) {
        engine_.steer(sequence, std::move(list));
    }
    /// Other sequences, which bring tokens of their own to every feed to come.
    void accompany(std::vector<int32_t> others) { others_ = std::move(others); }

    /// One truth for each token evaluated, a pending one of an answer first.
    std::vector<bool> feed(int32_t sequence, const std::vector<int32_t> & tokens, bool generated = false,
                           bool ends_prompt = true) {
        std::vector<evaluate_entry> entries = {entry_of(sequence, tokens, generated, ends_prompt)};
        for (const int32_t other : others_) {
            entries.insert(other < sequence ? entries.begin() : entries.end(),
                           entry_of(other, tokens_from(100 + 11 * other, 5)));
        }
        const evaluate_result result = engine_.evaluate(entries);
        return acted_on(result.captures.front(), sequence);
    }

    /// Generates `count` tokens, of which the last stays pending.
    void answer(int32_t sequence, const std::vector<int32_t> & prompt, int32_t count) {
        generate_request request;
        request.sequence = sequence;
        request.prompt = prompt;
        request.max_tokens = count;
        std::vector<int32_t> & history = histories_[sequence];
        history.insert(history.end(), prompt.begin(), prompt.end());
        const std::vector<int32_t> answered = engine_.finish(engine_.get().generate(request));
        CHECK_EQ(answered.size(), static_cast<size_t>(count));
        history.insert(history.end(), answered.begin(), answered.end() - 1);
    }

private:
    /// The place is the first that is steered: its row less what arrives there is nothing, or the addition.
    std::vector<bool> acted_on(const capture_labels & labels, int32_t sequence) {
        std::vector<int32_t> & history = histories_[sequence];
        std::vector<size_t> own;
        for (size_t row = 0; row < labels.full.size(); ++row) {
            if (labels.full[row].sequence == sequence) {
                own.push_back(row);
                history.resize(static_cast<size_t>(labels.full[row].position));
                history.push_back(labels.full[row].token);
            }
        }
        testbed::waiting_engine & plain = plain_engine();
        plain.truncate(0, 0);
        plain.evaluate({entry_of(0, history)});
        const formulas::row addition = owner_.addition();
        std::vector<bool> acts;
        for (const size_t row : own) {
            const formulas::row arriving = row_at_place(*plain_rows_, labels.full[row].position);
            const formulas::row moved = formulas::plus(row_at_place(rows_, static_cast<int64_t>(row)), -1, arriving);
            const double part = formulas::product(moved, addition) / formulas::product(addition, addition);
            CHECK_NEAR(part, part > 0.5 ? 1 : 0, 1e-3);
            acts.push_back(part > 0.5);
        }
        return acts;
    }

    formulas::row row_at_place(const testbed::recording & rows, int64_t row) const {
        return formulas::row_of(rows.row(static_cast<size_t>(place_layer), row), static_cast<size_t>(owner_.width()));
    }

    /// Computes the same tokens with nothing steered.
    testbed::waiting_engine & plain_engine() {
        if (!plain_) {
            plain_rows_ = std::make_unique<testbed::recording>(token_scope::all, 256, "residual", *owner_.source());
            plain_ = std::make_unique<testbed::waiting_engine>(exact_options(1), owner_.source());
            plain_->attach(plain_rows_->target);
        }
        return *plain_;
    }

    const fixture & owner_;
    testbed::recording rows_;
    std::unique_ptr<testbed::recording> plain_rows_;
    std::unique_ptr<testbed::waiting_engine> plain_;
    std::map<int32_t, std::vector<int32_t>> histories_;
    std::vector<int32_t> others_;
    testbed::waiting_engine engine_;  // last: its thread writes to the rows
};

}  // namespace llama_steer::latches
