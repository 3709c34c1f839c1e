// Products of Q8_0 matrices: against the same bytes in float64, against the numbers that were quantized, and that a
// column has the same bits whoever else is in the batch and however many threads compute.

#include "matmul/q8_product.h"
#include "check.h"
#include "distance.h"
#include "graph/instrumentation.h"
#include "matmul/q8_kernel.h"
#include "model/context.h"
#include "synthetic_models.h"
#include "testbed.h"

#include <cmath>
#include <cstring>
#include <limits>
#include <memory>
#include <numeric>
#include <vector>

#include <ggml.h>

using namespace llama_steer;

namespace {

void require_kernel() {
    if (supported_q8_kernel() == nullptr) {
        SKIP("this processor has no AVX-512 VNNI");
    }
}

struct context_deleter {
    void operator()(ggml_context * context) const { ggml_free(context); }
};

/// A matrix of random numbers of very different sizes, and columns.
class problem {
public:
    problem(int64_t length, int64_t rows, const std::vector<std::vector<float>> & columns)
        : length_(length), rows_(rows), n_columns_(static_cast<int64_t>(columns.size())) {
        ggml_init_params params{};
        params.mem_size = 64 << 20;
        context_.reset(ggml_init(params));
        ggml_context * context = context_.get();
        matrix_ = ggml_new_tensor_2d(context, GGML_TYPE_Q8_0, length, rows);
        testbed::generator random(11);
        weights_.resize(static_cast<size_t>(length * rows));
        for (size_t i = 0; i < weights_.size(); ++i) {
            weights_[i] = random() * std::exp2(static_cast<float>(i / 32 % 7) - 3);
        }
        ggml_quantize_chunk(GGML_TYPE_Q8_0, weights_.data(), matrix_->data, 0, rows, length, nullptr);
        columns_ = ggml_new_tensor_2d(context, GGML_TYPE_F32, length, n_columns_);
        for (int64_t c = 0; c < n_columns_; ++c) {
            std::memcpy(static_cast<float *>(columns_->data) + c * length, columns[static_cast<size_t>(c)].data(),
                        static_cast<size_t>(length) * sizeof(float));
        }
        bytes_ = ggml_new_tensor_1d(context, GGML_TYPE_I8, q8_columns_bytes(length, n_columns_));
        bytes_->src[0] = columns_;
        result_ = ggml_new_tensor_2d(context, GGML_TYPE_F32, rows, n_columns_);
        result_->src[0] = matrix_;
        result_->src[1] = bytes_;
    }

    /// [columns][rows]
    std::vector<float> compute(int threads = 1) {
        thread_scratch scratch;
        scratch.reserve(threads, q8_product_scratch_bytes(length_));
        auto * data = static_cast<float *>(result_->data);
        std::fill(data, data + rows_ * n_columns_, std::nanf(""));
        for (int thread = 0; thread < threads; ++thread) {
            quantize_q8_columns(bytes_, thread, threads, nullptr);
        }
        for (int thread = 0; thread < threads; ++thread) {
            compute_q8_product(result_, thread, threads, &scratch);
        }
        return {data, data + rows_ * n_columns_};
    }

    /// Of the matrix as it is stored, and of a column as it was given.
    double exact(int64_t column, int64_t row) const {
        const std::vector<float> stored = stored_row(row);
        double sum = 0;
        for (int64_t i = 0; i < length_; ++i) {
            sum += static_cast<double>(stored[static_cast<size_t>(i)]) * number(column, i);
        }
        return sum;
    }

    /// Of both as bytes.
    double of_bytes(int64_t column, int64_t row) const {
        const std::vector<float> stored = stored_row(row);
        double sum = 0;
        for (int64_t block = 0; block < length_; block += 32) {
            float largest = 0;
            for (int64_t i = block; i < block + 32; ++i) {
                largest = std::max(largest, std::fabs(static_cast<float>(number(column, i))));
            }
            const float inverse = largest > 0 ? 127 / largest : 0;
            for (int64_t i = block; i < block + 32; ++i) {
                const float rounded = std::nearbyint(static_cast<float>(number(column, i)) * inverse);
                sum += static_cast<double>(stored[static_cast<size_t>(i)]) * static_cast<double>(rounded) *
                       static_cast<double>(largest / 127);
            }
        }
        return sum;
    }

    /// What the terms of a sum add up to without their signs.
    double size(int64_t column, int64_t row) const {
        const std::vector<float> stored = stored_row(row);
        double sum = 0;
        for (int64_t i = 0; i < length_; ++i) {
            sum += std::fabs(static_cast<double>(stored[static_cast<size_t>(i)]) * number(column, i));
        }
        return sum;
    }

private:
    double number(int64_t column, int64_t i) const {
        return static_cast<double>(static_cast<const float *>(columns_->data)[column * length_ + i]);
    }
    std::vector<float> stored_row(int64_t row) const {
        std::vector<float> values(static_cast<size_t>(length_));
        ggml_get_type_traits(GGML_TYPE_Q8_0)
            ->to_float(static_cast<const char *>(matrix_->data) + row * matrix_->nb[1], values.data(), length_);
        return values;
    }

    int64_t length_;
    int64_t rows_;
    int64_t n_columns_;
    std::unique_ptr<ggml_context, context_deleter> context_;
    std::vector<float> weights_;
    ggml_tensor * matrix_;
    ggml_tensor * columns_;
    ggml_tensor * bytes_;
    ggml_tensor * result_;
};

std::vector<std::vector<float>> random_columns(int64_t length, int64_t count) {
    std::vector<std::vector<float>> columns;
    for (int64_t c = 0; c < count; ++c) {
        testbed::generator random(static_cast<uint64_t>(100 + c));
        columns.emplace_back(static_cast<size_t>(length));
        for (size_t i = 0; i < columns.back().size(); ++i) {
            columns.back()[i] = random() * std::exp2(static_cast<float>(i / 32 % 5) - static_cast<float>(c % 3));
        }
    }
    return columns;
}

constexpr int64_t lengths[] = {32, 64, 256, 896};
constexpr int64_t row_counts[] = {1, 15, 16, 17, 48, 100};

}  // namespace

TEST(q8_products_equal_float64_sums_of_the_same_bytes) {
    require_kernel();
    for (const int64_t length : lengths) {
        for (const int64_t rows : row_counts) {
            for (int64_t count = 1; count <= 18; ++count) {
                problem one(length, rows, random_columns(length, count));
                const std::vector<float> found = one.compute();
                for (int64_t c = 0; c < count; ++c) {
                    for (int64_t row = 0; row < rows; ++row) {
                        const auto value = static_cast<double>(found[static_cast<size_t>(c * rows + row)]);
                        CHECK_NEAR(value, one.of_bytes(c, row), 1e-6 * one.size(c, row));
                        CHECK_NEAR(value, one.exact(c, row), 1.0 / 127 * one.size(c, row));
                    }
                }
            }
        }
    }
}

TEST(q8_products_of_the_largest_bytes_do_not_overflow) {
    require_kernel();
    for (const float sign : {1.0F, -1.0F}) {
        const int64_t length = 512;
        problem one(length, 16, {std::vector<float>(static_cast<size_t>(length), sign * 1e6F)});
        for (int64_t row = 0; row < 16; ++row) {
            CHECK_NEAR(one.compute()[static_cast<size_t>(row)], one.exact(0, row), 1e-6 * one.size(0, row));
        }
    }
}

TEST(q8_products_of_zeros_are_zero_and_what_is_no_number_stays_in_its_column) {
    require_kernel();
    const int64_t length = 64;
    std::vector<std::vector<float>> columns = random_columns(length, 3);
    columns[1].assign(columns[1].size(), 0);
    const std::vector<float> before = problem(length, 16, columns).compute();
    for (size_t row = 0; row < 16; ++row) {
        CHECK_EQ(before[16 + row], 0.0F);
    }
    for (const float wrong : {std::nanf(""), std::numeric_limits<float>::infinity()}) {
        columns[1][40] = wrong;
        const std::vector<float> after = problem(length, 16, columns).compute();
        for (size_t row = 0; row < 16; ++row) {
            CHECK(!std::isfinite(after[16 + row]));
            CHECK_EQ(after[row], before[row]);
            CHECK_EQ(after[32 + row], before[32 + row]);
        }
    }
}

TEST(q8_products_have_the_same_bits_alone_and_with_any_number_of_threads) {
    require_kernel();
    const int64_t length = 256;
    const int64_t rows = 100;
    const auto columns = random_columns(length, 13);
    problem together(length, rows, columns);
    const std::vector<float> expected = together.compute();
    for (const int threads : {2, 3, 16}) {
        CHECK(together.compute(threads) == expected);
    }
    for (size_t c = 0; c < columns.size(); ++c) {
        const std::vector<float> alone = problem(length, rows, {columns[c]}).compute();
        CHECK(std::equal(alone.begin(), alone.end(), expected.begin() + static_cast<int64_t>(c) * rows));
    }
}

namespace {

/// Logits of a prompt, all its tokens in one pass.
std::vector<float> logits_of(const std::shared_ptr<const model> & source, bool own, int32_t tokens, int * products) {
    context_options options;
    options.context_size = 64;
    options.threads = 1;
    options.own_operators = own;
    context one(source, options);
    one.graph().layout().clear();
    std::vector<batch_token> batch;
    for (int32_t i = 0; i < tokens; ++i) {
        batch.push_back({i * 7 % 256, i, 0, true});
    }
    CHECK(one.decode(batch) == decode_status::ok);
    *products = one.graph().operators().products;
    std::vector<float> logits;
    for (int32_t i = 0; i < tokens; ++i) {
        const float * row = one.logits(i);
        logits.insert(logits.end(), row, row + source->info().vocabulary_size);
    }
    return logits;
}

}  // namespace

TEST(q8_products_of_a_model_are_as_near_to_those_of_float32_as_upstreams_are) {
    require_kernel();
    synthetic::model_shape shape;
    shape.architecture = "qwen3";
    shape.hidden = 128;
    shape.ffn = 256;
    shape.type = synthetic::weight_type::q8_0;
    init_backend("");
    const synthetic::temporary_path path;
    synthetic::write_model(shape, path.string());
    const auto source = model::load(path.string(), testbed::options_of_test_models());
    const auto exact = testbed::in_float32(path.string());
    for (const int32_t tokens : {2, 9, 40}) {
        int products = 0;
        const std::vector<float> expected = logits_of(exact, false, tokens, &products);
        const std::vector<float> theirs = logits_of(source, false, tokens, &products);
        CHECK_EQ(products, 0);
        const std::vector<float> own = logits_of(source, true, tokens, &products);
        // Seven matrices of each of 4 layers, and the vocabulary's.
        CHECK_EQ(products, 29);
        CHECK(distance(own, expected) < 1.1 * distance(theirs, expected));
        CHECK_NEAR(distance(own, expected), 0, 3e-2);
    }
    int products = 0;
    CHECK(!logits_of(source, true, 1, &products).empty());
    CHECK_EQ(products, 0);
}

// Who reads what is changed by steering first: rows that are quantized must be the steered ones.
TEST(q8_products_read_what_was_steered) {
    require_kernel();
    synthetic::model_shape shape;
    shape.architecture = "qwen3";
    shape.type = synthetic::weight_type::q8_0;
    const std::shared_ptr<const model> source = synthetic::load_model(shape);
    const model_info & info = source->info();
    std::vector<int> layers(static_cast<size_t>(info.n_layers));
    std::iota(layers.begin(), layers.end(), 0);
    testbed::generator random(5);
    std::vector<float> data(layers.size() * static_cast<size_t>(info.hidden_size));
    for (float & each : data) {
        each = random();
    }
    const auto directions = std::make_shared<const direction_set>(data.data(), info.hidden_size, layers, info.n_layers);
    const auto logits_with = [&](bool own, float strength) {
        context_options options;
        options.context_size = 64;
        options.threads = 1;
        options.own_operators = own;
        testbed::waiting_engine engine(options, source);
        engine.steer(0, {{directions, strength, token_scope::all}});
        evaluate_entry entry;
        entry.sequence = 0;
        entry.tokens = {7, 21, 35, 49, 63, 77, 91, 105, 119};
        entry.logits = logits_rows::all;
        std::vector<float> logits(entry.tokens.size() * static_cast<size_t>(info.vocabulary_size));
        engine.evaluate({entry}, &logits);
        return logits;
    };
    const std::vector<float> theirs = logits_with(false, 1);
    CHECK_NEAR(distance(logits_with(true, 1), theirs), 0, 5e-2);
    CHECK(distance(logits_with(true, 0), theirs) > 0.3);
}
