// Lists that act at several sites of all layers at once: what arrives at a place is put together from what left the
// places before, bit for bit (architectures_test.cpp proves these sums).

#include "check.h"
#include "recipes.h"
#include "steered_rows.h"
#include "synthetic_models.h"

#include <cstring>

using namespace llama_steer;
using namespace llama_steer::scenarios;
using recipes::described;
using recipes::recipe;

namespace {

const std::vector<std::string> & summed_sites() {
    static const std::vector<std::string> sites = {"residual", "residual_mid", "attention_out", "mlp_out"};
    return sites;
}

std::vector<described> at_all_layers(const model & source, const std::vector<std::pair<std::string, recipe>> & list,
                                     uint64_t seed) {
    std::vector<described> made;
    for (const auto & [site, what] : list) {
        made.emplace_back(what, site, testbed::all_layers(source), source.info().hidden_size, source.info().n_layers,
                          seed++);
    }
    return made;
}

/// The sum of two rows in float32, as the graph makes it.
formulas::row sum(const float * a, const float * b, size_t width) {
    formulas::row made;
    for (size_t i = 0; i < width; ++i) {
        made.push_back(static_cast<double>(a[i] + b[i]));
    }
    return made;
}

/// What a list does at one place, to a token.
formulas::row expected_at(const std::vector<described> & list, const std::string & site, int layer,
                          const row_label & label, formulas::row h) {
    for (const described & each : list) {
        if (each.site() == site && each.acts_at(layer) && is_selected(each.what().tokens, label)) {
            h = formulas::apply(each.action(layer), h);
        }
    }
    return h;
}

/// Checks both sites of the stream at all layers against what arrived there in the same run.
void check_stream(const std::string & name, const kept & run, const std::vector<std::vector<described>> & lists,
                  int n_layers) {
    double worst = 0;
    size_t n_rows = 0;
    for (int layer = 0; layer < n_layers; ++layer) {
        const kept_rows & residual = run.at({"residual", layer});
        const kept_rows & mid = run.at({"residual_mid", layer});
        const kept_rows & attention = run.at({"attention_out", layer});
        const kept_rows & mlp = run.at({"mlp_out", layer});
        for (size_t row = 0; row < residual.labels.size(); ++row) {
            const row_label & label = residual.labels[row];
            const auto & list = lists[static_cast<size_t>(label.sequence)];
            const size_t before = mid.same(label);
            const formulas::row arriving = sum(mid.data(before), mlp.data(mlp.same(label)), residual.width);
            worst = std::max(worst, formulas::relative_distance(residual.row(row),
                                                                expected_at(list, "residual", layer, label, arriving)));
            ++n_rows;
            if (layer > 0) {
                const kept_rows & input = run.at({"residual", layer - 1});
                const formulas::row stream =
                    sum(input.data(input.same(label)), attention.data(attention.same(label)), residual.width);
                worst = std::max(worst, formulas::relative_distance(
                                            mid.row(before), expected_at(list, "residual_mid", layer, label, stream)));
            }
        }
    }
    CHECK(n_rows > 100);
    if (!(worst <= 1e-5)) {
        check::fail(__FILE__, __LINE__, name + ": a row is off by " + std::to_string(worst));
    }
}

recipe in_scope(recipe what, token_scope scope) {
    what.tokens = scope;
    return what;
}

/// One list for each of four sequences; the fifth has none.
std::vector<std::vector<described>> mixed_lists(const model & source) {
    return {
        at_all_layers(source, {{"residual", {operation::add, 1, 0.5}}, {"residual_mid", {operation::ablate, 3, 1}}},
                      11),
        {},
        at_all_layers(source,
                      {{"mlp_out", {operation::clamp, 3, 1, -0.1F, 0.1F}},
                       {"residual", {operation::rotate, 2, 4.0}},
                       {"attention_out", {operation::affine, 3, 0.4, 0, 0, true, false, true}},
                       {"residual", {operation::ablate, 2, 0.4}},
                       {"residual_mid", {operation::set, 1, 1, 0.2F, 0.2F, true, true}}},
                      31),
        at_all_layers(source,
                      {{"residual", in_scope({operation::add, 3, 1.0, 0, 0, true}, token_scope::last_prompt)},
                       {"residual_mid", in_scope({operation::clamp, 2, 1, -0.2F, 0.1F}, token_scope::generated)},
                       {"residual", in_scope({operation::observe, 2}, token_scope::generated)}},
                      51),
        at_all_layers(source,
                      {{"residual_mid", {operation::add, 1, -0.5}},
                       {"residual_mid", {operation::add, 1, 0.3}},
                       {"residual_mid", {operation::add, 1, 0.2}},
                       {"residual_mid", {operation::add, 2, 0.2}},
                       {"residual_mid", {operation::add, 1, -0.4}}},
                      71),
    };
}

}  // namespace

TEST(exactness_of_lists_at_several_sites_of_all_layers) {
    for (const std::string & architecture : synthetic::architecture_names()) {
        const std::shared_ptr<const model> source = synthetic::tiny_model(architecture);
        const std::vector<std::vector<described>> lists = mixed_lists(*source);
        for (const bool unified : {true, false}) {
            for (const int32_t threads : {1, 2}) {
                const scenario each{5, threads == 1 ? 512 : 16, unified, logits_rows::last, threads};
                site_runner runner(source, each, summed_sites());
                check_stream(architecture, runner.run(recipes::lists_of(lists)), lists, source->info().n_layers);
            }
        }
    }
}

/// A sequence that is not steered keeps every bit, whatever is done to the others in its batches.
TEST(exactness_leaves_the_bits_of_unsteered_sequences) {
    for (const std::string & architecture : synthetic::architecture_names()) {
        const std::shared_ptr<const model> source = synthetic::tiny_model(architecture);
        const scenario each{5, 512, true, logits_rows::all};
        site_runner runner(source, each, summed_sites());
        const kept plain = runner.run({});
        const kept mixed = runner.run(recipes::lists_of(mixed_lists(*source)));
        size_t n_rows = 0;
        size_t n_changed = 0;
        for (const auto & [where, rows] : mixed) {
            const kept_rows & before = plain.at(where);
            for (size_t row = 0; row < rows.labels.size(); ++row) {
                const bool same = std::memcmp(rows.data(row), before.data(row), rows.width * sizeof(float)) == 0;
                n_rows += rows.labels[row].sequence == 1 ? 1 : 0;
                n_changed += same ? 0 : 1;
                CHECK(same || rows.labels[row].sequence != 1);
            }
        }
        CHECK(n_rows > 0 && n_changed > n_rows);
    }
}
