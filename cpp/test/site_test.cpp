// The public sites: what they are to each other, whatever a model calls its nodes.

#include "check.h"
#include "testbed.h"

#include <cstring>

using namespace llama_steer;
using testbed::recording;

TEST(the_test_bed_offers_every_public_site_with_its_width) {
    const model_info & info = testbed::chat_model()->info();
    const site_table & sites = testbed::chat_model()->sites();
    for (const std::string & name : public_sites()) {
        CHECK_EQ(sites.at(name).size(), static_cast<size_t>(info.n_layers));
    }
    for (const char * name : {"residual", "residual_mid", "attention_out", "mlp_out"}) {
        CHECK_EQ(sites.at(name).at(3).width, info.hidden_size);
        CHECK_EQ(sites.at(name).at(3).heads, 0);
    }
    CHECK_EQ(sites.at("attention_heads").at(3).heads, info.n_heads);
    CHECK_EQ(sites.at("attention_heads").at(3).width, 128);
    CHECK_EQ(sites.at("ffn_inp").size(), static_cast<size_t>(info.n_layers));
    CHECK_EQ(sites.count("kq"), 0U);  // its rows are no tokens'
}

/// residual_mid = residual before + attention_out and residual = residual_mid + mlp_out, to the last bit.
TEST(the_residual_stream_is_the_sum_of_its_parts_bit_for_bit) {
    context_options options;
    options.context_size = 64;
    options.threads = 1;
    testbed::waiting_engine mine(options);
    const recording residual(token_scope::all, 64, "residual");
    const recording mid(token_scope::all, 64, "residual_mid");
    const recording attention(token_scope::all, 64, "attention_out");
    const recording mlp(token_scope::all, 64, "mlp_out");
    for (const recording * each : {&residual, &mid, &attention, &mlp}) {
        mine.attach(each->target);
    }
    evaluate_entry entry;
    entry.tokens = testbed::prompt(1);
    entry.logits = logits_rows::all;
    mine.evaluate({entry});

    const auto n_rows = static_cast<int64_t>(entry.tokens.size());
    const auto sum_equals = [&](const float * sum, const float * a, const float * b) {
        for (int64_t i = 0; i < residual.width; ++i) {
            if (sum[i] != a[i] + b[i]) {
                return false;
            }
        }
        return true;
    };
    for (size_t layer = 0; layer < residual.layers.size(); ++layer) {
        for (int64_t row = 0; row < n_rows; ++row) {
            CHECK(sum_equals(residual.row(layer, row), mid.row(layer, row), mlp.row(layer, row)));
            CHECK(layer == 0 ||
                  sum_equals(mid.row(layer, row), residual.row(layer - 1, row), attention.row(layer, row)));
        }
    }
    CHECK(testbed::on_device() || mine.get().statistics().capture_bytes_copied == 0);
}
