// Our attention in the graphs of whole models, of every architecture: it takes the place of upstream's, and the model
// says what it says without flash attention.

#include "check.h"
#include "distance.h"
#include "model/context.h"
#include "synthetic_models.h"
#include "testbed.h"

#include <cmath>
#include <memory>
#include <stdexcept>
#include <string>
#include <vector>

using namespace llama_steer;

namespace {

constexpr int32_t n_sequences = 5;

enum class operators { own, upstream, no_flash_attention };

/// Runs a few sequences of different lengths: their prompts, parts of more, and some steps.
class run {
public:
    run(const std::shared_ptr<const model> & source, operators chosen, bool unified, int32_t threads = 1)
        : context_(source, options(chosen, unified, threads)) {
        constexpr int32_t prompts[] = {9, 70, 31, 17, 40};
        for (const int32_t count : {0, 20, 1, 1, 1}) {
            std::vector<batch_token> batch;
            for (int32_t sequence = 0; sequence < n_sequences; ++sequence) {
                const bool joins = count != 20 || sequence % 2 == 0;
                for (int32_t i = 0; joins && i < (count == 0 ? prompts[sequence] : count); ++i) {
                    const int32_t position = positions_[sequence]++;
                    batch.push_back({(sequence * 31 + position * 7) % 256, position, sequence, true});
                }
            }
            decode(batch);
        }
    }

    /// Of all tokens, in the order they were fed.
    const std::vector<float> & logits() const { return logits_; }
    int own_nodes() { return context_.graph().operators().attentions; }

private:
    static context_options options(operators chosen, bool unified, int32_t threads) {
        context_options result;
        result.max_sequences = n_sequences;
        result.context_size = 128;
        result.threads = threads;
        result.unified_memory = unified;
        result.attention = chosen == operators::no_flash_attention ? flash_attention::off : flash_attention::on;
        result.own_operators = chosen == operators::own;
        return result;
    }

    void decode(const std::vector<batch_token> & batch) {
        context_.graph().layout().clear();
        if (context_.decode(batch) != decode_status::ok) {
            throw std::runtime_error("the pass failed");
        }
        const auto width = static_cast<size_t>(context_.source().info().vocabulary_size);
        for (size_t i = 0; i < batch.size(); ++i) {
            const float * row = context_.logits(static_cast<int32_t>(i));
            logits_.insert(logits_.end(), row, row + width);
        }
    }

    context context_;
    int32_t positions_[n_sequences] = {};
    std::vector<float> logits_;
};

}  // namespace

TEST(attention_of_every_architecture_says_what_it_says_without_flash_attention) {
    for (const std::string & architecture : synthetic::architecture_names()) {
        const std::shared_ptr<const model> source = synthetic::tiny_model(architecture);
        for (const bool unified : {true, false}) {
            run plain(source, operators::no_flash_attention, unified);
            run theirs(source, operators::upstream, unified);
            run own(source, operators::own, unified);
            // Float16 keys and values are all that ours rounds; upstream's sums are float16 as well.
            CHECK(distance(own.logits(), plain.logits()) < distance(theirs.logits(), plain.logits()));
            CHECK_NEAR(distance(own.logits(), plain.logits()), 0, 1e-3);
            CHECK_EQ(own.own_nodes(), architecture == "qwen3next" ? 2 : 4);
            CHECK_EQ(theirs.own_nodes(), 0);
            CHECK_EQ(plain.own_nodes(), 0);
        }
    }
}

TEST(attention_of_a_model_has_the_same_bits_with_two_threads) {
    const std::shared_ptr<const model> source = synthetic::tiny_model("qwen3");
    CHECK(run(source, operators::own, true, 2).logits() == run(source, operators::own, true).logits());
}

TEST(attention_does_not_depend_on_whether_sequences_share_a_memory) {
    const std::shared_ptr<const model> source = synthetic::tiny_model("qwen3");
    run shared(source, operators::own, true);
    run separate(source, operators::own, false);
    CHECK_NEAR(distance(shared.logits(), separate.logits()), 0, 1e-4);
}
