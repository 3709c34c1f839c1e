// Conditions that are decided token by token, against formulas row by row; and what is refused.

#include "check.h"
#include "model/steering_fit.h"
#include "recipes.h"
#include "steered_rows.h"
#include "synthetic_models.h"

#include <algorithm>
#include <cstring>

using namespace llama_steer;
using namespace llama_steer::scenarios;
using recipes::described;

namespace {

using condition_ptr = std::shared_ptr<const condition>;

/// A probe as its caller describes it, and what it measures on the rows of a run.
struct probe_case {
    std::string site;
    int layer;
    condition_measure measure;
    bool above;
    uint64_t seed;
    double threshold = 0;

    described direction(const model & source) const {
        return {{operation::observe, 1}, site, {layer}, source.sites().at(site).at(layer).width,
                source.info().n_layers,  seed};
    }
    double measured(const model & source, const kept & run, const row_label & label) const {
        const kept_rows & rows = run.at({site, layer});
        return formulas::measure(measure, direction(source).action(layer).vectors[0], rows.row(rows.same(label)));
    }
    bool holds(const model & source, const kept & run, const row_label & label) const {
        const double found = measured(source, run, label);
        return above ? found > threshold : found < threshold;
    }
    condition_ptr made(const model & source) const {
        condition_probe leaf;
        leaf.site = site_id(site);
        leaf.layer = layer;
        leaf.direction = direction(source).directions();
        leaf.measure = measure;
        leaf.above = above;
        leaf.threshold = static_cast<float>(threshold);
        return std::make_shared<const condition>(leaf);
    }
    /// Puts the threshold into the widest gap near the middle of what is measured, so that rounding decides nothing.
    void choose_threshold(const model & source, const kept & run) {
        std::vector<double> all;
        for (const row_label & label : run.at({site, layer}).labels) {
            all.push_back(measured(source, run, label));
        }
        std::sort(all.begin(), all.end());
        double widest = 0;
        for (size_t i = all.size() / 3; i < all.size() * 2 / 3; ++i) {
            if (all[i + 1] - all[i] > widest) {
                widest = all[i + 1] - all[i];
                threshold = (all[i + 1] + all[i]) / 2;
            }
        }
        CHECK(widest > 1e-4);
    }
};

/// Three probes: before the place, just before it, and on what arrives at it.
std::vector<probe_case> three_probes() {
    return {{"residual", 0, condition_measure::cosine, true, 61},
            {"mlp_out", 2, condition_measure::projection, false, 62},
            {"residual", 2, condition_measure::projection, true, 63}};
}

condition_ptr combined(condition::rule rule, std::vector<condition_ptr> parts) {
    return std::make_shared<const condition>(rule, std::move(parts));
}

/// A condition of the three probes, and what it says of their truths.
struct condition_case {
    condition_ptr made;
    bool (*holds)(bool a, bool b, bool c);
};

std::vector<condition_case> condition_cases(const condition_ptr & a, const condition_ptr & b, const condition_ptr & c) {
    const auto all = condition::rule::all;
    const auto any = condition::rule::any;
    const auto negated = [](const condition_ptr & part) { return combined(condition::rule::negate, {part}); };
    return {
        {a, [](bool x, bool, bool) { return x; }},
        {b, [](bool, bool y, bool) { return y; }},
        {c, [](bool, bool, bool z) { return z; }},
        {negated(a), [](bool x, bool, bool) { return !x; }},
        {combined(all, {a, b}), [](bool x, bool y, bool) { return x && y; }},
        {combined(any, {a, negated(b)}), [](bool x, bool y, bool) { return x || !y; }},
        {combined(all, {a, combined(any, {b, negated(c)})}), [](bool x, bool y, bool z) { return x && (y || !z); }},
        {negated(combined(all, {combined(any, {c, b}), negated(combined(all, {a, c}))})),
         [](bool x, bool y, bool z) { return !((z || y) && !(x && z)); }},
        {combined(all, {combined(any, {a, b, c}), negated(combined(all, {a, b, c}))}),
         [](bool x, bool y, bool z) { return (x || y || z) && !(x && y && z); }},
        {combined(any, {combined(all, {a}), combined(all, {b, c})}),
         [](bool x, bool y, bool z) { return x || (y && z); }},
    };
}

constexpr int place_layer = 2;

intervention_request conditional(const described & what, condition_ptr when) {
    intervention_request made = what.request();
    made.when = std::move(when);
    return made;
}

/// The five sequences of a scenario with a condition each, from `first` on; returns how many rows were and were not
/// acted on.
std::pair<int, int> check_conditions(const model & source, site_runner & runner, const kept & arriving,
                                     const std::vector<probe_case> & probes, size_t first) {
    const described what({operation::add, 1, 1}, "residual", {place_layer}, source.info().hidden_size,
                         source.info().n_layers, 77);
    const std::vector<condition_case> cases =
        condition_cases(probes[0].made(source), probes[1].made(source), probes[2].made(source));
    std::vector<std::shared_ptr<const steering_list>> lists;
    for (size_t sequence = 0; sequence < 5; ++sequence) {
        const condition_case & each = cases[(first + sequence) % cases.size()];
        lists.push_back(std::make_shared<const steering_list>(
            steering_list{std::make_shared<intervention>(conditional(what, each.made))}));
    }
    const kept run = runner.run(lists);
    const kept_rows & steered = run.at({"residual", place_layer});
    const kept_rows & before = arriving.at({"residual", place_layer});
    std::pair<int, int> counts{0, 0};
    for (size_t row = 0; row < steered.labels.size(); ++row) {
        const row_label & label = steered.labels[row];
        const condition_case & each = cases[(first + static_cast<size_t>(label.sequence)) % cases.size()];
        const bool acts = each.holds(probes[0].holds(source, arriving, label), probes[1].holds(source, arriving, label),
                                     probes[2].holds(source, arriving, label));
        if (acts) {
            const formulas::row expected = formulas::apply(what.action(place_layer), before.row(row));
            CHECK_NEAR(formulas::relative_distance(steered.row(row), expected), 0, 1e-5);
        } else {
            CHECK(std::memcmp(steered.data(row), before.data(row), steered.width * sizeof(float)) == 0);
        }
        ++(acts ? counts.first : counts.second);
    }
    return counts;
}

}  // namespace

TEST(conditions_on_single_tokens_act_as_the_formulas_say) {
    for (const std::string & architecture : synthetic::architecture_names()) {
        const std::shared_ptr<const model> source = synthetic::tiny_model(architecture);
        for (const int32_t threads : {1, 2}) {
            // With memories of their own, tokens are reordered.
            const scenario each{5, 512, threads == 1, logits_rows::all, threads};
            site_runner runner(source, each, {"residual", "mlp_out"});
            const kept arriving = runner.run({});
            std::vector<probe_case> probes = three_probes();
            for (probe_case & probe : probes) {
                probe.choose_threshold(*source, arriving);
            }
            for (const size_t first : {0, 5, 3}) {
                const auto [acted, left] = check_conditions(*source, runner, arriving, probes, first);
                CHECK(acted > 20 && left > 20);
            }
        }
    }
}

/// What is measured is the row as it arrives, before the list changes it at the same place.
TEST(conditions_see_rows_before_they_are_changed_there) {
    const std::shared_ptr<const model> source = synthetic::tiny_model("llama");
    const scenario each{5, 512, true, logits_rows::all};
    site_runner runner(source, each, {"residual", "mlp_out"});
    const kept arriving = runner.run({});
    probe_case probe = three_probes()[2];
    probe.choose_threshold(*source, arriving);
    const described first({operation::ablate, 1, 1}, "residual", {place_layer}, source->info().hidden_size,
                          source->info().n_layers, probe.seed);  // takes away the very direction that is measured
    const described second({operation::add, 1, 1}, "residual", {place_layer}, source->info().hidden_size,
                           source->info().n_layers, 78);
    const auto list = std::make_shared<const steering_list>(
        steering_list{first.made(), std::make_shared<intervention>(conditional(second, probe.made(*source)))});
    const kept run = runner.run({list, list, list, list, list});
    const kept_rows & steered = run.at({"residual", place_layer});
    const kept_rows & before = arriving.at({"residual", place_layer});
    for (size_t row = 0; row < steered.labels.size(); ++row) {
        formulas::row expected = formulas::apply(first.action(place_layer), before.row(row));
        if (probe.holds(*source, arriving, steered.labels[row])) {
            expected = formulas::apply(second.action(place_layer), expected);
        }
        CHECK_NEAR(formulas::relative_distance(steered.row(row), expected), 0, 1e-5);
    }
}

TEST(conditions_refuse_what_cannot_be_measured) {
    const std::shared_ptr<const model> source = synthetic::tiny_model("llama");
    const auto probe = [&](const std::string & site, int layer, condition_latch latch) {
        probe_case each{site, layer, condition_measure::cosine, true, 5};
        condition_probe leaf;
        leaf.site = site_id(site);
        leaf.layer = layer;
        leaf.direction = each.direction(*source).directions();
        leaf.latch = latch;
        return leaf;
    };
    condition_probe bad = probe("residual", 1, condition_latch::token);
    for (const float threshold : {static_cast<float>(NAN), static_cast<float>(INFINITY)}) {
        bad.threshold = threshold;
        CHECK_THROWS_CODE(condition(bad), error_code::NOT_FINITE);
    }
    bad.threshold = 0;
    for (const int layer : {-1, 0, 4, 1000}) {
        bad.layer = layer;
        CHECK_THROWS_CODE(condition(bad), error_code::LAYER_OUT_OF_RANGE);
    }
    const auto leaf = std::make_shared<const condition>(probe("residual", 1, condition_latch::token));
    CHECK_THROWS_CODE(condition(condition::rule::all, {}), error_code::INVALID_ARGUMENT);
    CHECK_THROWS_CODE(condition(condition::rule::any, {}), error_code::INVALID_ARGUMENT);
    CHECK_THROWS_CODE(condition(condition::rule::negate, {leaf, leaf}), error_code::INVALID_ARGUMENT);
    const std::vector<condition_ptr> most(condition::max_probes, leaf);
    const auto full = std::make_shared<const condition>(condition::rule::any, most);
    CHECK_EQ(full->probes().size(), condition::max_probes);
    CHECK_THROWS_CODE(condition(condition::rule::all, {full, leaf}), error_code::INVALID_ARGUMENT);

    const described what({operation::add, 1, 1}, "residual_mid", {1, 2}, source->info().hidden_size,
                         source->info().n_layers, 4);
    const auto fits = [&](condition_probe each) {
        check_fit(*source, intervention(conditional(what, std::make_shared<const condition>(std::move(each)))));
    };
    // It acts from between attention and MLP of layer 1 on: what comes before that is known to every token.
    fits(probe("residual", 0, condition_latch::token));
    fits(probe("attention_out", 1, condition_latch::token));
    fits(probe("residual_mid", 1, condition_latch::token));
    for (const auto & [site, layer] : {std::pair("mlp_out", 1), std::pair("residual", 1), std::pair("residual", 3)}) {
        CHECK_THROWS_CODE(fits(probe(site, layer, condition_latch::token)), error_code::INVALID_ARGUMENT);
        for (const condition_latch latch :
             {condition_latch::last_prompt, condition_latch::prompt_mean, condition_latch::prompt_any}) {
            fits(probe(site, layer, latch));
        }
    }
    condition_probe unknown = probe("residual", 0, condition_latch::token);
    unknown.site = site_id("nowhere");
    CHECK_THROWS_CODE(fits(unknown), error_code::SITE_UNKNOWN);
    condition_probe narrow = probe("residual", 0, condition_latch::token);
    const std::vector<float> few(8, 1.0F);
    narrow.direction = std::make_shared<const direction_set>(
        direction_request{operation::observe, {{few.data(), 8, {0}, nullptr}}, {}, {}, false}, source->info().n_layers);
    CHECK_THROWS_CODE(fits(narrow), error_code::WIDTH_MISMATCH);
}
