// A micro-batch over a memory of random numbers, for tests of attention, and what float64 makes of it.
#pragma once

#include "attention/attention.h"
#include "check.h"

#include <algorithm>
#include <cmath>
#include <cstring>
#include <limits>
#include <memory>
#include <random>
#include <vector>

#include <ggml.h>

namespace llama_steer::attention_problem {

constexpr double infinity = std::numeric_limits<double>::infinity();

struct shape {
    int64_t key_size;
    int64_t value_size;
    int64_t heads;
    int64_t key_heads;
    int64_t streams = 1;
    ggml_type type = GGML_TYPE_F16;
    float softcap = 0;
    bool sinks = false;
    int32_t window = 0;  ///< cells that a row sees back from its own; 0: all
};

/// A row of a micro-batch: the place of its token among those of its sequence.
struct batch_row {
    int32_t sequence;
    int32_t position;
};

struct context_deleter {
    void operator()(ggml_context * context) const { ggml_free(context); }
};

/// One micro-batch over a memory of random numbers. Each sequence has its tokens in cells that are scattered over the
/// memory, and cells hold tokens of nobody in between.
class problem {
public:
    problem(const shape & what, const std::vector<std::vector<batch_row>> & rows_of_streams, int64_t cells)
        : what_(what), cells_(cells), rows_(static_cast<int64_t>(rows_of_streams.front().size())) {
        ggml_init_params params{};
        params.mem_size = 256 << 20;
        context_.reset(ggml_init(params));
        queries_ = ggml_permute(context(), queries_of(rows_of_streams), 0, 2, 1, 3);
        keys_ = ggml_permute(context(), made(what.type, what.key_size, what.key_heads, cells), 0, 2, 1, 3);
        values_ = ggml_permute(context(), made(what.type, what.value_size, what.key_heads, cells), 0, 2, 1, 3);
        mask_ = ggml_new_tensor_4d(context(), GGML_TYPE_F16, cells, rows_, 1, what.streams);
        fill_mask(rows_of_streams);
        sinks_ = what.sinks ? made(GGML_TYPE_F32, what.heads, 1, 1, 1) : nullptr;
        result_ = ggml_flash_attn_ext(context(), queries_, keys_, values_, mask_, scale, 0, what.softcap);
        result_->src[4] = sinks_;
        std::vector<int32_t> sequences;
        for (const auto & rows : rows_of_streams) {
            for (const batch_row & each : rows) {
                sequences.push_back(each.sequence);
            }
        }
        visible_.divide(sequences, static_cast<int32_t>(rows_));
        visible_.read({static_cast<const char *>(mask_->data), cells, static_cast<int64_t>(mask_->nb[1]),
                       static_cast<int64_t>(mask_->nb[3])});
    }

    /// [streams][rows][heads][value size]
    std::vector<float> compute(int threads = 1) {
        thread_scratch scratch;
        scratch.reserve(threads, attention_scratch_bytes(result_));
        attention_settings settings{&visible_, &scratch, scale, what_.softcap};
        auto * data = static_cast<float *>(result_->data);
        const auto count = static_cast<size_t>(ggml_nelements(result_));
        std::fill(data, data + count, std::nanf(""));
        for (int thread = 0; thread < threads; ++thread) {
            compute_attention(result_, thread, threads, &settings);
        }
        return {data, data + count};
    }

    double expected(int64_t stream, int64_t row, int64_t head, int64_t i) const {
        const int64_t key_head = head / (what_.heads / what_.key_heads);
        double sum = 0;
        double total = what_.sinks ? std::exp(static_cast<double>(static_cast<const float *>(sinks_->data)[head])) : 0;
        for (int64_t cell = 0; cell < cells_; ++cell) {
            if (!sees(stream, row, cell)) {
                continue;
            }
            double score = 0;
            for (int64_t k = 0; k < what_.key_size; ++k) {
                score += at(queries_, k, row, head, stream) * at(keys_, k, cell, key_head, stream);
            }
            score *= static_cast<double>(scale);
            const auto cap = static_cast<double>(what_.softcap);
            const double weight = std::exp(cap == 0 ? score : cap * std::tanh(score / cap));
            total += weight;
            sum += weight * at(values_, i, cell, key_head, stream);
        }
        return total == 0 ? 0 : sum / total;
    }

    void check(const std::vector<float> & found) const {
        size_t index = 0;
        double worst = 0;
        for (int64_t stream = 0; stream < what_.streams; ++stream) {
            for (int64_t row = 0; row < rows_; ++row) {
                for (int64_t head = 0; head < what_.heads; ++head) {
                    for (int64_t i = 0; i < what_.value_size; ++i) {
                        const double off =
                            std::fabs(static_cast<double>(found[index++]) - expected(stream, row, head, i));
                        worst = std::isnan(off) ? infinity : std::max(worst, off);
                    }
                }
            }
        }
        CHECK(worst < 2e-6);
    }

    /// Makes the key or the value of a token something that is no number. Which rows see it.
    std::vector<bool> spoil_key_of(int32_t sequence, int32_t position) { return spoil(keys_, sequence, position); }
    std::vector<bool> spoil_value_of(int32_t sequence, int32_t position) { return spoil(values_, sequence, position); }

    std::vector<bool> spoil(ggml_tensor * tensor, int32_t sequence, int32_t position) {
        const int64_t cell = cell_of(sequence, position);
        for (int64_t head = 0; head < what_.key_heads; ++head) {
            char * row = static_cast<char *>(tensor->data) + cell * tensor->nb[1] + head * tensor->nb[2];
            if (what_.type == GGML_TYPE_F32) {
                *reinterpret_cast<float *>(row) = std::nanf("");
            } else {
                *reinterpret_cast<ggml_fp16_t *>(row) = ggml_fp32_to_fp16(std::nanf(""));
            }
        }
        std::vector<bool> seeing;
        for (int64_t row = 0; row < rows_; ++row) {
            seeing.push_back(sees(0, row, cell));
        }
        return seeing;
    }

    const visible_cells & visible() const { return visible_; }
    bool sees(int64_t stream, int64_t row, int64_t cell) const {
        return halves()[(stream * rows_ + row) * cells_ + cell] == 0;
    }

private:
    static constexpr float scale = 0.3F;

    ggml_context * context() const { return context_.get(); }
    const ggml_fp16_t * halves() const { return static_cast<const ggml_fp16_t *>(mask_->data); }

    ggml_tensor * made(ggml_type type, int64_t n0, int64_t n1, int64_t n2, int64_t n3 = 0) {
        ggml_tensor * tensor = ggml_new_tensor_4d(context(), type, n0, n1, n2, n3 == 0 ? what_.streams : n3);
        const std::vector<float> numbers = normal_numbers(ggml_nelements(tensor), static_cast<uint32_t>(n0 + 7 * n2));
        if (type == GGML_TYPE_F32) {
            std::memcpy(tensor->data, numbers.data(), ggml_nbytes(tensor));
        } else {
            ggml_quantize_chunk(type, numbers.data(), tensor->data, 0, ggml_nrows(tensor), n0, nullptr);
        }
        return tensor;
    }

    /// The same for a token whatever else there is.
    ggml_tensor * queries_of(const std::vector<std::vector<batch_row>> & rows_of_streams) {
        const int64_t row_size = what_.key_size * what_.heads;
        ggml_tensor * tensor =
            ggml_new_tensor_4d(context(), GGML_TYPE_F32, what_.key_size, what_.heads, rows_, what_.streams);
        auto * to = static_cast<float *>(tensor->data);
        for (const auto & rows : rows_of_streams) {
            for (const batch_row & each : rows) {
                const std::vector<float> numbers =
                    normal_numbers(row_size, static_cast<uint32_t>(1000 * each.sequence + each.position + 1));
                to = std::copy(numbers.begin(), numbers.end(), to);
            }
        }
        return tensor;
    }

    static std::vector<float> normal_numbers(int64_t count, uint32_t seed) {
        std::mt19937 random(seed);
        std::normal_distribution<float> normal;
        std::vector<float> numbers(static_cast<size_t>(count));
        for (float & each : numbers) {
            each = normal(random);
        }
        return numbers;
    }

    void fill_mask(const std::vector<std::vector<batch_row>> & rows_of_streams) {
        auto * to = static_cast<ggml_fp16_t *>(mask_->data);
        std::fill(to, to + ggml_nelements(mask_), ggml_fp32_to_fp16(-std::numeric_limits<float>::infinity()));
        for (size_t stream = 0; stream < rows_of_streams.size(); ++stream) {
            const std::vector<batch_row> & rows = rows_of_streams[stream];
            for (size_t row = 0; row < rows.size(); ++row) {
                const int32_t last = rows[row].position;
                for (int32_t position = 0; position <= last; ++position) {
                    if (what_.window == 0 || last - position < what_.window) {
                        to[(static_cast<int64_t>(stream) * rows_ + static_cast<int64_t>(row)) * cells_ +
                           cell_of(rows[row].sequence, position)] = 0;
                    }
                }
            }
        }
    }

    /// Steps through the memory by a number that shares no factor with its size; ascending in parts, as real ones are.
    int64_t cell_of(int32_t sequence, int32_t position) const {
        const int64_t run = position / 5;
        return ((run * 37 + sequence * 11) * 5 + position % 5) % cells_;
    }

    static double at(const ggml_tensor * tensor, int64_t i0, int64_t i1, int64_t i2, int64_t i3) {
        const char * row =
            static_cast<const char *>(tensor->data) + i1 * tensor->nb[1] + i2 * tensor->nb[2] + i3 * tensor->nb[3];
        if (tensor->type == GGML_TYPE_F32) {
            return static_cast<double>(reinterpret_cast<const float *>(row)[i0]);
        }
        std::vector<float> values(static_cast<size_t>(tensor->ne[0]));
        ggml_get_type_traits(tensor->type)->to_float(row, values.data(), tensor->ne[0]);
        return static_cast<double>(values[static_cast<size_t>(i0)]);
    }

    shape what_;
    int64_t cells_;
    int64_t rows_;
    std::unique_ptr<ggml_context, context_deleter> context_;
    ggml_tensor * queries_;
    ggml_tensor * keys_;
    ggml_tensor * values_;
    ggml_tensor * mask_;
    ggml_tensor * sinks_;
    ggml_tensor * result_;
    visible_cells visible_;
};

/// `count` rows of a sequence, up to and with a position.
inline std::vector<batch_row> rows_of(int32_t sequence, int32_t count, int32_t last) {
    std::vector<batch_row> rows;
    for (int32_t i = 0; i < count; ++i) {
        rows.push_back({sequence, last - count + 1 + i});
    }
    return rows;
}

/// A prompt of several groups, answers that go on, a chunk of a prompt, and one that has just begun.
inline std::vector<std::vector<batch_row>> parts_of_mixed_rows() {
    return {rows_of(0, 37, 36), rows_of(1, 1, 100), rows_of(2, 1, 63), rows_of(3, 5, 70), rows_of(4, 1, 0)};
}

inline std::vector<batch_row> mixed_rows() {
    std::vector<batch_row> all;
    for (const auto & each : parts_of_mixed_rows()) {
        all.insert(all.end(), each.begin(), each.end());
    }
    return all;
}

}  // namespace llama_steer::attention_problem
