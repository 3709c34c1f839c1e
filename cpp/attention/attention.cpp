#include "attention/attention.h"

#include "attention/attention_math.h"
#include "base/half.h"

#include <algorithm>
#include <cmath>
#include <cstring>
#include <limits>

#include <ggml.h>

namespace llama_steer {

namespace {

constexpr float none = -std::numeric_limits<float>::infinity();

/// Keys of one tile, in float32, are to stay in the second cache.
constexpr int64_t tile_floats = 16384;
/// Query heads that share keys are taken together up to this many.
constexpr int64_t max_shared_heads = 8;
constexpr int64_t alignment_floats = 16;

int64_t padded(int64_t width) { return (width + row_padding - 1) / row_padding * row_padding; }

/// The tensors of one call by the names that attention gives their sizes.
struct operands {
    explicit operands(const ggml_tensor * result)
        : queries(result->src[0]),
          keys(result->src[1]),
          values(result->src[2]),
          sinks(result->src[4]),
          output(static_cast<float *>(result->data)),
          rows(queries->ne[1]),
          heads(queries->ne[2]),
          key_heads(keys->ne[2]),
          shared(heads / key_heads),
          key_size(keys->ne[0]),
          value_size(values->ne[0]) {}

    const ggml_tensor * queries;
    const ggml_tensor * keys;
    const ggml_tensor * values;
    const ggml_tensor * sinks;
    float * output;
    int64_t rows;  ///< of one stream
    int64_t heads;
    int64_t key_heads;
    int64_t shared;  ///< query heads that read the same key head
    int64_t key_size;
    int64_t value_size;
};

/// Query heads of one piece of work: whole key heads, or a part of those that share one.
int64_t heads_together(const operands & with, int64_t groups, int64_t threads) {
    int64_t most = with.shared;
    if (with.shared > max_shared_heads) {
        most = max_shared_heads;
        while (with.shared % most != 0) {
            --most;
        }
    } else {
        const int64_t size = std::max(padded(with.key_size), padded(with.value_size));
        most *= std::clamp(tile_floats / (tile_cells * size), int64_t{1}, with.key_heads);
    }
    const auto pieces = [&](int64_t each) { return groups * ((with.heads + each - 1) / each); };
    if (pieces(most) < threads) {
        most = std::min(most, with.shared);
    }
    return pieces(most) < threads ? 1 : most;
}

/// Where things lie in a thread's scratch.
struct layout {
    layout(const operands & with, int64_t heads, float * memory)
        : key_width(padded(with.key_size)),
          value_width(padded(with.value_size)),
          key_heads((heads + with.shared - 1) / with.shared) {
        const int64_t queries_at_most = heads * visible_cells::max_rows;
        const auto take = [&](int64_t floats) {
            float * const taken = memory == nullptr ? nullptr : memory + used;
            used += (floats + alignment_floats - 1) / alignment_floats * alignment_floats;
            return taken;
        };
        keys = take(tile_cells * key_heads * key_width);
        values = take(tile_cells * key_heads * value_width);
        queries = take(queries_at_most * key_width);
        sums = take(queries_at_most * value_width);
        weights = take(std::min(heads, with.shared) * visible_cells::max_rows * tile_cells);
        largest = take(queries_at_most);
        totals = take(queries_at_most);
    }

    int64_t key_width;
    int64_t value_width;
    int64_t key_heads;
    float * keys;     ///< [tile_cells][key_heads][key_width]
    float * values;   ///< [tile_cells][key_heads][value_width]
    float * queries;  ///< [heads][rows][key_width], times the scale
    float * sums;     ///< [heads][rows][value_width]
    float * weights;  ///< of one key head: [heads that share it][rows][tile_cells]
    float * largest;  ///< [heads][rows]: the largest score so far
    float * totals;   ///< [heads][rows]: the sum of weights so far
    int64_t used = 0;
};

void to_floats(ggml_type type, const char * from, int64_t count, float * to) {
    if (type == GGML_TYPE_F16) {
        to_float(reinterpret_cast<const uint16_t *>(from), static_cast<size_t>(count), to);
    } else if (type == GGML_TYPE_F32) {
        std::memcpy(to, from, static_cast<size_t>(count) * sizeof(float));
    } else {
        ggml_get_type_traits(type)->to_float(from, to, count);
    }
}

/// Rows `[heads][width]` of one cell, in float32. What pads them is left alone.
void convert_cell(const ggml_tensor * from, int64_t cell, int64_t head, int64_t heads, int64_t stream, int64_t width,
                  float * to) {
    const char * data =
        static_cast<const char *>(from->data) + cell * from->nb[1] + head * from->nb[2] + stream * from->nb[3];
    const int64_t size = from->ne[0];
    if (width == size && from->nb[2] == ggml_row_size(from->type, size)) {
        to_floats(from->type, data, heads * size, to);
        return;
    }
    for (int64_t i = 0; i < heads; ++i) {
        to_floats(from->type, data + i * from->nb[2], size, to + i * width);
    }
}

/// Attention of one group's rows at some query heads.
class piece {
public:
    piece(const operands & with, const attention_settings & settings, const row_group & group, int64_t first_head,
          int64_t heads, float * memory)
        : with_(with),
          settings_(settings),
          group_(group),
          first_head_(first_head),
          heads_(heads),
          first_key_head_(first_head / with.shared),
          sharing_(std::min(heads, with.shared)),
          at_(with, heads, memory) {}

    void compute() {
        start();
        const auto n_cells = static_cast<int32_t>(group_.cells.size());
        for (int32_t first = 0; first < n_cells; first += tile_cells) {
            const int32_t cells = std::min(tile_cells, n_cells - first);
            load_tile(first, cells);
            for (int64_t head = 0; head < heads_; head += sharing_) {
                weigh_tile(head, first / tile_cells, cells);
            }
        }
        finish();
    }

private:
    void start() {
        const int64_t n_queries = heads_ * group_.rows;
        // Zeros also pad the rows, and the keys that fill up a last four.
        std::fill(at_.queries, at_.queries + n_queries * at_.key_width, 0.0F);
        std::fill(at_.sums, at_.sums + n_queries * at_.value_width, 0.0F);
        std::fill(at_.largest, at_.largest + n_queries, none);
        std::fill(at_.totals, at_.totals + n_queries, 0.0F);
        if (at_.key_width != with_.key_size || group_.cells.size() < tile_cells) {
            std::fill(at_.keys, at_.keys + tile_cells * at_.key_heads * at_.key_width, 0.0F);
        }
        if (at_.value_width != with_.value_size) {
            std::fill(at_.values, at_.values + tile_cells * at_.key_heads * at_.value_width, 0.0F);
        }
        const float scale = settings_.softcap == 0 ? settings_.scale : settings_.scale / settings_.softcap;
        const ggml_tensor * queries = with_.queries;
        for (int64_t head = 0; head < heads_; ++head) {
            for (int64_t row = 0; row < group_.rows; ++row) {
                const auto * from = reinterpret_cast<const float *>(
                    static_cast<const char *>(queries->data) + (group_.first_row + row) * queries->nb[1] +
                    (first_head_ + head) * queries->nb[2] + group_.stream * queries->nb[3]);
                float * to = at_.queries + (head * group_.rows + row) * at_.key_width;
                for (int64_t i = 0; i < with_.key_size; ++i) {
                    to[i] = from[i] * scale;
                }
            }
        }
    }

    void load_tile(int32_t first, int32_t cells) {
        for (int32_t i = 0; i < cells; ++i) {
            const int64_t cell = group_.cells[first + i];
            convert_cell(with_.keys, cell, first_key_head_, at_.key_heads, group_.stream, at_.key_width,
                         at_.keys + i * at_.key_heads * at_.key_width);
            convert_cell(with_.values, cell, first_key_head_, at_.key_heads, group_.stream, at_.value_width,
                         at_.values + i * at_.key_heads * at_.value_width);
        }
    }

    /// The query heads from `head` on that share a key head, over one tile.
    void weigh_tile(int64_t head, int32_t tile, int32_t cells) {
        const int64_t key_head = head / with_.shared;
        const int64_t first_query = head * group_.rows;
        const auto count = static_cast<int>(sharing_ * group_.rows);
        math_.score(at_.queries + first_query * at_.key_width, at_.key_width, count,
                    at_.keys + key_head * at_.key_width, at_.key_heads * at_.key_width, cells, at_.key_width,
                    at_.weights);
        const uint64_t all = cells == tile_cells ? ~uint64_t{0} : (uint64_t{1} << cells) - 1;
        int whole = 0;  // queries that see all of the tile, not mixed yet
        for (int query = 0; query < count; ++query) {
            const uint64_t seen = group_.seen_by(static_cast<int32_t>(query % group_.rows), tile);
            make_weights(at_.weights + query * tile_cells, first_query + query, seen, cells);
            if (seen == all) {
                ++whole;
                continue;
            }
            mix(head, query - whole, whole, 0, cells);
            mix_seen(head, query, seen, cells);
            whole = 0;
        }
        mix(head, count - whole, whole, 0, cells);
    }

    /// Adds what `count` queries of those that begin at `head` make of some cells of the tile.
    void mix(int64_t head, int query, int count, int32_t first, int32_t cells) {
        const int64_t stride = at_.key_heads * at_.value_width;
        math_.mix(at_.weights + query * tile_cells + first, count,
                  at_.values + head / with_.shared * at_.value_width + first * stride, stride, cells, at_.value_width,
                  at_.sums + (head * group_.rows + query) * at_.value_width, at_.value_width);
    }

    /// Cells that a query does not see are left out rather than weighed with 0: what is infinite or no number there, at
    /// a later token, would reach it all the same.
    void mix_seen(int64_t head, int query, uint64_t seen, int32_t cells) {
        for (int32_t first = 0; first < cells;) {
            int32_t end = first;
            while (end < cells && (seen >> end & 1) != 0) {
                ++end;
            }
            if (end > first) {
                mix(head, query, 1, first, end - first);
            }
            first = end + 1;
        }
    }

    /// Turns scores into weights relative to the largest score so far, to which the sums before are scaled.
    void make_weights(float * scores, int64_t query, uint64_t seen, int32_t cells) {
        if (settings_.softcap != 0) {
            for (int32_t c = 0; c < cells; ++c) {
                scores[c] = settings_.softcap * std::tanh(scores[c]);
            }
        }
        const uint64_t all = cells == tile_cells ? ~uint64_t{0} : (uint64_t{1} << cells) - 1;
        std::fill(scores + cells, scores + tile_cells, none);
        if (seen != all) {
            for (int32_t c = 0; c < cells; ++c) {
                scores[c] = (seen >> c & 1) != 0 ? scores[c] : none;
            }
        }
        const float now = std::max(at_.largest[query], math_.largest(scores));
        if (now == none) {
            // Nothing is seen, or nothing that is a number.
            if (std::any_of(scores, scores + cells, [](float each) { return std::isnan(each); })) {
                at_.totals[query] = std::numeric_limits<float>::quiet_NaN();
            }
            std::fill(scores, scores + cells, 0.0F);
            return;
        }
        rescale(query, now);
        at_.totals[query] += math_.exponentiate(scores, now);
    }

    void rescale(int64_t query, float now) {
        const float before = at_.largest[query];
        if (now > before) {
            const float by = std::exp(before - now);
            at_.totals[query] *= by;
            if (before != none) {
                math_.scale(at_.sums + query * at_.value_width, by, at_.value_width);
            }
            at_.largest[query] = now;
        }
    }

    void finish() {
        for (int64_t head = 0; head < heads_; ++head) {
            for (int64_t row = 0; row < group_.rows; ++row) {
                const int64_t query = head * group_.rows + row;
                if (with_.sinks != nullptr) {
                    const float sink = static_cast<const float *>(with_.sinks->data)[first_head_ + head];
                    rescale(query, std::max(at_.largest[query], sink));
                    at_.totals[query] += std::exp(sink - at_.largest[query]);
                }
                const float total = at_.totals[query];
                const float by = total == 0 ? 0 : 1 / total;
                const float * from = at_.sums + query * at_.value_width;
                float * to = with_.output + ((group_.stream * with_.rows + group_.first_row + row) * with_.heads +
                                             first_head_ + head) *
                                                with_.value_size;
                for (int64_t i = 0; i < with_.value_size; ++i) {
                    to[i] = from[i] * by;
                }
            }
        }
    }

    const attention_math & math_ = supported_attention_math().front();
    const operands & with_;
    const attention_settings & settings_;
    const row_group & group_;
    int64_t first_head_;
    int64_t heads_;
    int64_t first_key_head_;
    int64_t sharing_;  ///< query heads that share a key head, of those here
    layout at_;
};

}  // namespace

int64_t attention_scratch_bytes(const ggml_tensor * result) {
    const operands with(result);
    // With one thread, pieces are the largest.
    return layout(with, heads_together(with, 1, 1), nullptr).used * static_cast<int64_t>(sizeof(float));
}

void compute_attention(ggml_tensor * result, int thread, int threads, void * userdata) {
    const auto & settings = *static_cast<const attention_settings *>(userdata);
    const operands with(result);
    const visible_cells & visible = *settings.visible;
    const int64_t together = heads_together(with, visible.count(), threads);

    // Each thread takes the pieces that begin in its share of all cells to be read.
    const auto cost = [](const row_group & group) { return static_cast<int64_t>(group.cells.size()) * group.rows + 1; };
    int64_t total = 0;
    for (const row_group & group : visible) {
        total += cost(group) * with.heads;
    }
    const int64_t begin = total * thread / threads;
    const int64_t end = total * (thread + 1) / threads;
    int64_t at = 0;
    for (const row_group & group : visible) {
        for (int64_t head = 0; head < with.heads; head += together) {
            const int64_t heads = std::min(together, with.heads - head);
            if (at >= begin && at < end) {
                piece(with, settings, group, head, heads, reinterpret_cast<float *>(settings.scratch->of(thread)))
                    .compute();
            }
            at += cost(group) * heads;
        }
    }
}

}  // namespace llama_steer
