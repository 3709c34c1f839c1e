// Every operation at every site of every architecture, row by row, against float64 formulas.

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

const char * const all_sites[] = {"residual", "residual_mid", "attention_out", "mlp_out", "attention_heads"};

/// Five sequences of different lengths; all logits, so that the last block computes all rows.
scenario five_sequences(bool unified = true) { return {5, 512, unified, logits_rows::all}; }

/// One place of one architecture, and what arrives there when nothing is steered. What comes before a place does not
/// depend on what is done there, at later tokens neither: keys and values are made from the layers before.
class exact_place {
public:
    exact_place(const std::string & architecture, const std::string & site, int layer, bool unified = true)
        : name_(architecture + ", " + site + " of layer " + std::to_string(layer) + ", "),
          source_(synthetic::tiny_model(architecture)),
          site_(site),
          layer_(layer),
          runner_(source_, five_sequences(unified), {site}),
          arriving_(runner_.run({}).at({site, layer})) {}

    described describe(const recipe & what, uint64_t seed) const {
        return {what, site_, {layer_}, static_cast<int64_t>(arriving_.width), source_->info().n_layers, seed};
    }

    /// Runs with a list for each sequence (none: must keep every bit), and looks at all rows.
    void check(const std::vector<std::vector<described>> & lists) {
        const kept_rows steered = runner_.run(recipes::lists_of(lists)).at({site_, layer_});
        CHECK_EQ(steered.labels.size(), arriving_.labels.size());
        CHECK(steered.labels.size() > 100);
        for (size_t row = 0; row < steered.labels.size(); ++row) {
            CHECK(same_label(steered.labels[row], arriving_.labels[row]));
            check_row(lists[static_cast<size_t>(steered.labels[row].sequence)], steered, row);
        }
    }

private:
    void check_row(const std::vector<described> & list, const kept_rows & steered, size_t row) const {
        formulas::row expected = arriving_.row(row);
        bool acts = false;
        for (const described & each : list) {
            if (is_selected(each.what().tokens, arriving_.labels[row])) {
                expected = formulas::apply(each.action(layer_), expected);
                acts = acts || each.what().kind != operation::observe;
            }
        }
        const bool same = std::memcmp(steered.data(row), arriving_.data(row), steered.width * sizeof(float)) == 0;
        if (!acts && !same) {
            check::fail(__FILE__, __LINE__, name_ + "a row that nothing acts on changed");
        }
        const double error = formulas::relative_distance(steered.row(row), expected);
        if (!(error <= 1e-5)) {
            check::fail(__FILE__, __LINE__,
                        name_ + recipes::text_of(list.front().what()) + ": a row is off by " + std::to_string(error));
        }
        if (!list.empty()) {
            check_promises(list.front(), steered.row(row), arriving_.row(row), list.size() == 1 && acts);
        }
    }

    /// What an operation promises by itself, whatever the reference says.
    void check_promises(const described & each, const formulas::row & after, const formulas::row & before,
                        bool alone) const {
        const recipe & what = each.what();
        if (alone && (what.keep_norm || what.kind == operation::rotate)) {
            CHECK_NEAR(formulas::norm(after) / formulas::norm(before), 1, 1e-5);
        }
        if (alone && what.kind == operation::ablate && what.strength == 1) {
            for (const formulas::row & v : each.action(layer_).vectors) {
                CHECK_NEAR(formulas::product(formulas::unit(v), after), 0, 1e-4 * formulas::norm(after));
            }
        }
    }

    std::string name_;
    std::shared_ptr<const model> source_;
    std::string site_;
    int layer_;
    site_runner runner_;
    kept_rows arriving_;
};

/// All operations at one place, four at a time beside a sequence that is not steered, which is another one every time.
void check_all_recipes(exact_place & where) {
    const std::vector<recipe> all = recipes::all_recipes();
    for (size_t begin = 0; begin < all.size(); begin += 4) {
        std::vector<std::vector<described>> lists(5);
        for (size_t i = 0; i < 4; ++i) {
            const size_t index = (begin + i) % all.size();
            lists[(begin / 4 + i) % 5] = {where.describe(all[index], 100 + index)};
        }
        where.check(lists);
    }
}

void check_site(const std::string & site) {
    for (const std::string & architecture : synthetic::architecture_names()) {
        // A layer in between and the last, whose rows upstream may cut to the outputs.
        for (const int layer : {1, synthetic::tiny_model(architecture)->info().n_layers - 1}) {
            exact_place where(architecture, site, layer);
            check_all_recipes(where);
        }
    }
}

}  // namespace

TEST(exactness_of_every_operation_on_the_residual_stream) { check_site("residual"); }
TEST(exactness_of_every_operation_between_attention_and_mlp) { check_site("residual_mid"); }
TEST(exactness_of_every_operation_on_what_attention_adds) { check_site("attention_out"); }
TEST(exactness_of_every_operation_on_what_the_mlp_adds) { check_site("mlp_out"); }
TEST(exactness_of_every_operation_on_attention_heads) { check_site("attention_heads"); }

/// Memories of their own make llama.cpp reorder tokens.
TEST(exactness_where_tokens_are_reordered) {
    for (const std::string & architecture : synthetic::architecture_names()) {
        for (const char * site : all_sites) {
            exact_place where(architecture, site, 2, false);
            const auto one = [&](const recipe & what) { return std::vector<described>{where.describe(what, 7)}; };
            where.check({one({operation::ablate, 3, 0.4}),
                         {},
                         one({operation::rotate, 2, 4.0}),
                         one({operation::set, 3, 1, 0.3F, 0.3F, true}),
                         one({operation::affine, 3, 0.9})});
        }
    }
}

TEST(exactness_of_token_scopes) {
    for (const std::string & architecture : synthetic::architecture_names()) {
        for (const bool unified : {true, false}) {
            exact_place where(architecture, "residual", 1, unified);
            for (const operation kind : {operation::add, operation::ablate}) {
                const auto one = [&](token_scope scope) {
                    recipe what{kind, 2, 0.7};
                    what.tokens = scope;
                    return std::vector<described>{where.describe(what, 9)};
                };
                const std::vector<std::vector<described>> lists = {
                    one(token_scope::prompt), one(token_scope::last_prompt), one(token_scope::generated),
                    one(token_scope::last_prompt_and_generated), one(token_scope::all)};
                where.check(lists);
                where.check({lists[2], lists[3], lists[4], lists[0], lists[1]});
            }
        }
    }
}

/// A list acts in its order, and the order matters.
TEST(exactness_of_lists_in_their_order) {
    const std::vector<recipe> four = {{operation::add, 2, 0.9},
                                      {operation::ablate, 2, 1},
                                      {operation::rotate, 2, 1.1},
                                      {operation::clamp, 1, 1, -0.2F, 0.1F, true}};
    for (const std::string & architecture : synthetic::architecture_names()) {
        for (const char * site : all_sites) {
            exact_place where(architecture, site, 1);
            std::vector<described> forward;
            for (const recipe & each : four) {
                // All in the span of related vectors, so that none commutes with another.
                forward.push_back(where.describe(each, 21));
            }
            const std::vector<described> backward(forward.rbegin(), forward.rend());
            const std::vector<described> turned = {forward[1], forward[0], forward[2], forward[3]};
            where.check({forward, backward, {}, turned, {forward[3], forward[3]}});

            testbed::generator random(5);
            formulas::row h(forward[0].action(1).vectors[0].size());
            for (double & value : h) {
                value = static_cast<double>(random());
            }
            const formulas::row in_order = recipes::apply(forward, 1, h);
            CHECK(formulas::relative_distance(recipes::apply(backward, 1, h), in_order) > 1e-2);
            CHECK(formulas::relative_distance(recipes::apply(turned, 1, h), in_order) > 1e-2);
        }
    }
}
