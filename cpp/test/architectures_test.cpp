// Capture and steering in every architecture: bit for bit an independent copy made under cb_eval, and every row
// labelled as what the graph itself looked up.

#include "check.h"
#include "reference.h"
#include "scenarios.h"
#include "synthetic_models.h"
#include "testbed.h"

#include <algorithm>
#include <cstring>
#include <utility>

using namespace llama_steer;
using namespace llama_steer::scenarios;
using testbed::all_layers;

namespace {

/// Empty, or what is wrong.
std::string difference(const layer_rows & expected, const recording & mine, const std::vector<row_label> & labels,
                       int layer, const token_source & tokens) {
    if (labels.size() != expected.tokens.size() || labels.size() * mine.width() != expected.rows.size()) {
        return std::to_string(labels.size()) + " rows, not " + std::to_string(expected.tokens.size());
    }
    for (size_t row = 0; row < labels.size(); ++row) {
        if (!same_label(labels[row], tokens.owner(expected.tokens[row]))) {
            return "row " + std::to_string(row) + " has a wrong label";
        }
        if (std::memcmp(mine.row(layer, row), expected.rows.data() + row * mine.width(),
                        mine.width() * sizeof(float)) != 0) {
            return "row " + std::to_string(row) + " differs";
        }
    }
    return "";
}

/// Directions for all blocks but the first, which upstream's control vectors leave out: [blocks][width].
std::vector<float> random_directions(const model & source) {
    std::vector<float> data(static_cast<size_t>((source.info().n_layers - 1) * source.info().hidden_size));
    testbed::generator random(3);
    for (float & value : data) {
        value = 0.2F * random();
    }
    return data;
}

std::shared_ptr<const direction_set> direction_set_of(const model & source) {
    std::vector<int> layers = all_layers(source);
    layers.erase(layers.begin());
    return std::make_shared<const direction_set>(random_directions(source).data(), source.info().hidden_size, layers,
                                                 source.info().n_layers);
}

void steer_both(testbed::waiting_engine & mine, reference::plain_context & theirs, const model & source,
                int32_t sequences) {
    for (int32_t sequence = 0; sequence < sequences; ++sequence) {
        mine.steer(sequence, {{direction_set_of(source), 1.0F, token_scope::all}});
    }
    const std::vector<float> data = random_directions(source);
    CHECK_EQ(llama_set_adapter_cvec(theirs.handle(), data.data(), data.size(), source.info().hidden_size, 1,
                                    source.info().n_layers),
             0);
}

/// Returns whether llama.cpp reordered the tokens of a pass.
bool check_scenario(const std::string & architecture, const scenario & each, bool steered = false) {
    const std::shared_ptr<const model> source = synthetic::tiny_model(architecture);
    testbed::waiting_engine mine(options_of(each), source);
    reference::plain_context theirs(each.sequences, each.batch, each.unified, each.node, each.threads, source,
                                    each.width);
    const recording rows(*source, token_scope::all, each);
    mine.attach(rows.target());
    if (steered) {
        steer_both(mine, theirs, *source, each.sequences);
    }
    token_source tokens;
    bool reordered = false;
    for (int step = 0; step < n_steps; ++step) {
        const std::vector<evaluate_entry> entries = entries_of_step(step, each, tokens);
        const evaluate_result result = mine.evaluate(entries);
        const std::map<int, layer_rows> expected =
            expected_rows(theirs, in_order(entries, tokens), each.batch, rows.target()->layers());
        const std::vector<int32_t> & order = expected.begin()->second.tokens;  // handed out in ascending order
        reordered = reordered || !std::is_sorted(order.begin(), order.end());
        for (const auto & [layer, reference_rows] : expected) {
            const std::string wrong = difference(reference_rows, rows, recording::labels(result, layer), layer, tokens);
            if (!wrong.empty()) {
                check::fail(__FILE__, __LINE__,
                            text_of(architecture, each) + ", step " + std::to_string(step) + ", layer " +
                                std::to_string(layer) + ": " + wrong);
            }
        }
    }
    return reordered;
}

/// The largest difference of an element between the rows that are labelled as `sequence` and that sequence's own.
float distance(const recording & rows, const std::vector<row_label> & labels, int32_t sequence, const recording & own,
               int layer) {
    float worst = 0;
    for (size_t row = 0; row < labels.size(); ++row) {
        if (labels[row].sequence == sequence) {
            const float * expected = own.row(layer, static_cast<size_t>(labels[row].position));
            for (size_t i = 0; i < rows.width(); ++i) {
                worst = std::max(worst, std::fabs(rows.row(layer, row)[i] - expected[i]));
            }
        }
    }
    return worst;
}

void check_architectures(const scenario & each, bool steered = false) {
    for (const std::string & architecture : synthetic::architecture_names()) {
        check_scenario(architecture, each, steered);
    }
}

}  // namespace

TEST(architectures_capture_one_sequence) { check_architectures({1}); }

TEST(architectures_capture_several_sequences_in_one_memory) {
    check_architectures({2});
    check_architectures({5});
}

/// Separate memories, and recurrent layers in any memory, make llama.cpp split batches into pieces of equal lengths.
TEST(architectures_capture_tokens_that_were_reordered) {
    for (const std::string & architecture : synthetic::architecture_names()) {
        CHECK(check_scenario(architecture, {2, 512, false}));
        CHECK(check_scenario(architecture, {5, 512, false}));
    }
    CHECK(check_scenario("qwen3next", {5, 512, true}));
}

TEST(architectures_capture_over_several_micro_batches) {
    for (const int32_t sequences : {1, 2, 5}) {
        for (const bool unified : {true, false}) {
            check_architectures({sequences, 8, unified});
            check_architectures({sequences, 16, unified});
        }
    }
}

TEST(architectures_capture_whatever_logits_are_wanted) {
    for (const logits_rows logits : {logits_rows::none, logits_rows::all}) {
        for (const bool unified : {true, false}) {
            check_architectures({5, 512, unified, logits});
            check_architectures({5, 16, unified, logits});
        }
    }
}

TEST(architectures_capture_with_two_threads) { check_architectures({5, 32, false, logits_rows::last, 2}); }

/// The experts' probabilities are read through a view, which has to follow the rows from pass to pass in a reused
/// graph.
TEST(architectures_capture_nodes_that_others_view) {
    for (const char * architecture : {"qwen3moe", "qwen3next"}) {
        for (const bool unified : {true, false}) {
            check_scenario(architecture, {5, 8, unified, logits_rows::all, 1, "ffn_moe_probs", "ffn_moe_probs", 4});
            check_scenario(architecture, {5, 8, unified, logits_rows::last, 1, "ffn_moe_probs", "ffn_moe_probs", 4});
        }
    }
}

TEST(architectures_capture_every_site_they_list) {
    for (const std::string & architecture : synthetic::architecture_names()) {
        const std::shared_ptr<const model> source = synthetic::tiny_model(architecture);
        scenario each{2, 16, architecture == "llama"};
        for (const auto & [name, shapes] : source->sites()) {
            std::map<int64_t, std::vector<int>> layers_by_width;
            for (const auto & [layer, shape] : shapes) {
                layers_by_width[shape.width].push_back(layer);
            }
            for (const auto & [width, layers] : layers_by_width) {
                each.site = name;
                each.width = width;
                each.layers = layers;
                if (std::find(public_sites().begin(), public_sites().end(), name) == public_sites().end()) {
                    each.node = name;
                    check_scenario(architecture, each);
                }
            }
        }
    }
}

/// What upstream calls the public sites, where it names them: an independent reading of its sources. Of attention heads
/// hybrid models have two kinds, by layer.
TEST(architectures_capture_the_public_sites_that_upstream_names) {
    struct named {
        const char * architecture;
        const char * site;
        std::vector<const char *> nodes;
    };
    const std::vector<named> all = {
        {"llama", "residual_mid", {"ffn_inp"}},
        {"llama", "mlp_out", {"ffn_out"}},
        {"llama", "attention_heads", {"kqv_out"}},
        {"qwen3", "residual_mid", {"ffn_inp"}},
        {"qwen3", "mlp_out", {"ffn_out"}},
        {"qwen3", "attention_heads", {"kqv_out"}},
        {"qwen3moe", "residual_mid", {"ffn_inp"}},
        {"qwen3moe", "mlp_out", {"ffn_moe_out"}},
        {"qwen3moe", "attention_heads", {"kqv_out"}},
        {"gemma3", "residual_mid", {"sa_out"}},
        {"gemma3", "mlp_out", {"ffn_post_norm"}},
        {"gemma3", "attention_out", {"attn_post_norm"}},
        {"gemma3", "attention_heads", {"kqv_out"}},
        {"phi3", "mlp_out", {"ffn_out"}},
        {"phi3", "attention_heads", {"kqv_out"}},
        {"qwen3next", "residual_mid", {"attn_residual"}},
        {"qwen3next", "mlp_out", {"ffn_out"}},
        {"qwen3next", "attention_heads", {"final_output", "attn_gated"}},
    };
    for (const named & each : all) {
        const std::shared_ptr<const model> source = synthetic::tiny_model(each.architecture);
        size_t n_layers = 0;
        for (const char * node : each.nodes) {
            scenario one{5, 16, true};
            one.site = each.site;
            one.node = node;
            for (const auto & [layer, shape] : source->sites().at(node)) {
                one.layers.push_back(layer);
                one.width = shape.width;
                CHECK_EQ(source->sites().at(each.site).at(layer).width, shape.width);
            }
            n_layers += one.layers.size();
            for (const bool unified : {true, false}) {
                one.unified = unified;
                check_scenario(each.architecture, one);
                one.logits = logits_rows::all;
                check_scenario(each.architecture, one);
            }
        }
        CHECK_EQ(n_layers, static_cast<size_t>(source->info().n_layers));
    }
}

/// The sites are what they are said to be, bit for bit, also where upstream has no name for them.
TEST(architectures_add_up_to_the_residual_stream_bit_for_bit) {
    for (const std::string & architecture : synthetic::architecture_names()) {
        const std::shared_ptr<const model> source = synthetic::tiny_model(architecture);
        const scenario each{5, 32, true, logits_rows::last};
        testbed::waiting_engine mine(options_of(each), source);
        std::map<std::string, std::unique_ptr<recording>> held;
        for (const char * site : {"residual", "residual_mid", "attention_out", "mlp_out"}) {
            scenario one = each;
            one.site = site;
            CHECK_EQ(source->sites().at(site).size(), static_cast<size_t>(source->info().n_layers));
            held[site] = std::make_unique<recording>(*source, token_scope::all, one);
            mine.attach(held[site]->target());
        }
        const auto is_sum = [&](const float * sum, const float * a, const float * b) {
            for (size_t i = 0; i < held["residual"]->width(); ++i) {
                if (sum[i] != a[i] + b[i]) {
                    return false;
                }
            }
            return true;
        };
        token_source tokens;
        for (int step = 0; step < n_steps; ++step) {
            const evaluate_result result = mine.evaluate(entries_of_step(step, each, tokens));
            for (const int layer : all_layers(*source)) {
                const std::vector<row_label> & labels = recording::labels(result, layer);
                const std::vector<row_label> & before = recording::labels(result, std::max(0, layer - 1));
                for (size_t row = 0; row < labels.size(); ++row) {
                    CHECK(is_sum(held["residual"]->row(layer, row), held["residual_mid"]->row(layer, row),
                                 held["mlp_out"]->row(layer, row)));
                    const auto same = std::find_if(before.begin(), before.end(), [&](const row_label & label) {
                        return same_label(label, labels[row]);
                    });
                    CHECK(layer == 0 ||
                          is_sum(held["residual_mid"]->row(layer, row),
                                 held["residual"]->row(layer - 1, static_cast<size_t>(same - before.begin())),
                                 held["attention_out"]->row(layer, row)));
                }
            }
        }
        CHECK(testbed::on_device() || mine.get().statistics().capture_bytes_copied == 0);
    }
}

/// Where a site is a view of other memory, as the heads are, that memory is moved.
TEST(architectures_copy_nothing_of_the_heads) {
    for (const std::string & architecture : synthetic::architecture_names()) {
        const std::shared_ptr<const model> source = synthetic::tiny_model(architecture);
        for (const bool unified : {true, false}) {
            scenario each{5, 32, unified};
            each.site = "attention_heads";
            std::map<int64_t, std::vector<int>> layers_by_width;
            for (const auto & [layer, shape] : source->sites().at(each.site)) {
                layers_by_width[shape.width].push_back(layer);
            }
            testbed::waiting_engine mine(options_of(each), source);
            std::vector<std::unique_ptr<recording>> held;
            for (const auto & [width, layers] : layers_by_width) {
                each.width = width;
                each.layers = layers;
                held.push_back(std::make_unique<recording>(*source, token_scope::all, each));
                mine.attach(held.back()->target());
            }
            token_source tokens;
            for (int step = 0; step < n_steps; ++step) {
                mine.evaluate(entries_of_step(step, each, tokens));
            }
            CHECK(testbed::on_device() || mine.get().statistics().capture_bytes_copied == 0);
        }
    }
}

/// Heads side by side: their number and size show in every architecture, in hybrid ones by layer.
TEST(architectures_tell_their_heads) {
    for (const std::string & architecture : synthetic::architecture_names()) {
        const std::shared_ptr<const model> source = synthetic::tiny_model(architecture);
        for (const auto & [layer, shape] : source->sites().at("attention_heads")) {
            CHECK(shape.heads > 0 && shape.width % shape.heads == 0);
            CHECK(architecture == "qwen3next" || shape.heads == source->info().n_heads);
        }
    }
}

TEST(architectures_refuse_to_capture_what_has_no_row_for_each_token) {
    for (const std::string & architecture : synthetic::architecture_names()) {
        const std::shared_ptr<const model> source = synthetic::tiny_model(architecture);
        scenario each{2};
        testbed::waiting_engine engine(options_of(each), source);
        token_source tokens;
        const std::vector<evaluate_entry> entries = entries_of_step(0, each, tokens);
        each.layers = {3};  // has attention in all of them
        for (const auto & [node, width] : {std::pair("Kcur", 16), std::pair("l_out", 32)}) {
            each.site = node;
            each.width = width;
            const recording rows(*source, token_scope::all, each);
            engine.attach(rows.target());
            CHECK_THROWS_CODE(engine.evaluate(entries), error_code::DECODE_FAILED);
            CHECK_EQ(engine.get().position(0), 0);
            engine.detach(rows.target());
            engine.evaluate(entries);
            engine.truncate(0, 0);
            engine.truncate(1, 0);
        }
    }
}

TEST(architectures_capture_the_last_rows_that_all_has) {
    for (const std::string & architecture : synthetic::architecture_names()) {
        for (const bool unified : {true, false}) {
            const scenario each{5, 16, unified, logits_rows::none};
            const std::shared_ptr<const model> source = synthetic::tiny_model(architecture);
            testbed::waiting_engine mine(options_of(each), source);
            const recording all(*source);
            const recording last(*source, token_scope::last_prompt_and_generated);
            mine.attach(all.target());
            mine.attach(last.target());
            token_source tokens;
            for (int step = 0; step < n_steps; ++step) {
                const std::vector<evaluate_entry> entries = entries_of_step(step, each, tokens);
                std::vector<int32_t> ends;
                for (const evaluate_entry & entry : entries) {
                    if (entry.ends_prompt || entry.generated) {
                        ends.push_back(entry.tokens.back());
                    }
                }
                const evaluate_result result = mine.evaluate(entries);
                for (const int layer : all_layers(*source)) {
                    const std::vector<row_label> & labels = recording::labels(result, layer, 1);
                    const std::vector<row_label> & among = recording::labels(result, layer, 0);
                    CHECK_EQ(labels.size(), ends.size());
                    for (size_t row = 0; row < labels.size(); ++row) {
                        CHECK(same_label(labels[row], tokens.owner(labels[row].token)));
                        CHECK(std::find(ends.begin(), ends.end(), labels[row].token) != ends.end());
                        const auto same = std::find_if(among.begin(), among.end(), [&](const row_label & label) {
                            return same_label(label, labels[row]);
                        });
                        CHECK(same != among.end());
                        if (same != among.end()) {
                            const float * expected = all.row(layer, static_cast<size_t>(same - among.begin()));
                            CHECK(std::memcmp(last.row(layer, row), expected, all.width() * sizeof(float)) == 0);
                        }
                    }
                }
            }
        }
    }
}

TEST(architectures_steer_as_upstreams_control_vectors_do) {
    for (const bool unified : {true, false}) {
        check_architectures({5, 512, unified}, true);
        check_architectures({5, 16, unified, logits_rows::all}, true);
    }
}

/// What a label says is also what the row means: the same sequence alone, where the order is known, has that row there,
/// also where every sequence is steered by a strength of its own.
TEST(architectures_label_and_steer_rows_as_the_sequence_alone_has_them) {
    for (const std::string & architecture : synthetic::architecture_names()) {
        const std::shared_ptr<const model> source = synthetic::tiny_model(architecture);
        for (const bool unified : {true, false}) {
            const scenario each{5, 512, unified, logits_rows::all};
            context_options options = options_of(each);
            // No rounding that depends on the batch (flash attention rounds to float16): it would choose other experts.
            options.float32_memory = true;
            options.attention = flash_attention::off;
            testbed::waiting_engine together(options, source);
            const recording rows(*source);
            together.attach(rows.target());
            const auto steering_of = [&](int32_t sequence) -> std::vector<testbed::steering_term> {
                const token_scope scope = sequence % 2 == 0 ? token_scope::all : token_scope::last_prompt;
                return {{direction_set_of(*source), 0.7F * static_cast<float>(sequence), scope}};
            };
            for (int32_t sequence = 0; sequence < each.sequences; ++sequence) {
                together.steer(sequence, steering_of(sequence));
            }
            token_source tokens;
            const std::vector<evaluate_entry> entries = entries_of_step(0, each, tokens);
            const evaluate_result result = together.evaluate(entries);
            options.max_sequences = 1;
            for (evaluate_entry entry : entries) {
                testbed::waiting_engine alone(options, source);
                const recording own(*source);
                alone.attach(own.target());
                const int32_t sequence = std::exchange(entry.sequence, 0);
                alone.steer(0, steering_of(sequence));
                alone.evaluate({entry});
                for (const int layer : all_layers(*source)) {
                    CHECK_NEAR(distance(rows, recording::labels(result, layer), sequence, own, layer), 0, 1e-2);
                }
            }
        }
    }
}
