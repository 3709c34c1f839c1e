#include "block_fold.h"

#include "base/error.h"
#include "layer_loop.h"

#include <algorithm>
#include <cmath>
#include <new>
#include <string>

namespace llama_steer::ridge {

namespace {

constexpr std::size_t free_memory = std::size_t(64) << 20;
constexpr std::size_t rows_between_checks = 256;

std::size_t checked_rows(const moments_shape & shape, const fold_rows & input) {
    if (input.layers.size() != shape.layers.size()) {
        throw error(error_code::INVALID_ARGUMENT, "rows of " + std::to_string(input.layers.size()) +
                                                      " layers were given for moments of " +
                                                      std::to_string(shape.layers.size()));
    }
    const std::size_t rows = input.layers.front().rows;
    for (std::size_t l = 0; l < input.layers.size(); l++) {
        const row_block & block = input.layers[l];
        const std::string who = "layer " + std::to_string(shape.layers[l]);
        if (block.cols != shape.width) {
            throw error(error_code::WIDTH_MISMATCH, who + " has rows of " + std::to_string(block.cols) +
                                                        ", and these moments are of width " +
                                                        std::to_string(shape.width));
        }
        if (block.rows != rows) {
            throw error(error_code::INVALID_ARGUMENT,
                        who + " has " + std::to_string(block.rows) + " rows, the first " + std::to_string(rows));
        }
        try {
            check_block(block);
        } catch (const error & e) {
            throw in_layer(e, static_cast<std::size_t>(shape.layers[l]));
        }
    }
    return rows;
}

}  // namespace

void moments_accumulator::fold(const fold_rows & rows, const abort_check & aborted) {
    check_usable();
    stop_if(aborted);
    block_fold work(*this, rows, aborted);
    if (work.empty()) return;
    work.prepare();
    work.commit();
}

block_fold::block_fold(moments_accumulator & target, const fold_rows & rows, const abort_check & aborted,
                       bool disposable)
    : target_(target),
      input_(rows),
      aborted_(aborted),
      disposable_(disposable),
      sorted_(
          group_rows(checked_rows(target.shape_, rows), target.shape_.groups, rows.groups, rows.group, rows.weights)),
      width_(target.shape_.width),
      workers_(layer_workers(rows.layers.size(), target.shape_.second == second_moment::full ? width_ : 1)),
      beside_(fits_beside()) {}

bool block_fold::fits_beside() const {
    if (target_.shape_.second != second_moment::full) return true;
    const double element = input_.layers.front().type == element_type::f32 ? 4 : 2;
    const double rows = element * double(input_.layers.size()) * double(sorted_.rows.size()) * double(width_);
    const double seconds = double(sizeof(double)) * double(input_.layers.size()) * double(sorted_.parts.size()) *
                           double(target_.shape_.second_size());
    return seconds <= std::max(double(free_memory), rows);
}

void block_fold::take_memory() {
    const std::size_t cells = input_.layers.size() * sorted_.parts.size();
    std::size_t most = 0;
    for (const part & p : sorted_.parts) most = std::max(most, static_cast<std::size_t>(p.sums.count));
    try {
        means_.resize(cells * width_);
        if (beside_) seconds_.resize(cells * target_.shape_.second_size());
        scratch_.resize(workers_);
        for (scratch & own : scratch_) {
            own.shift.resize(width_);
            own.halves.resize(width_);
            if (target_.shape_.second == second_moment::full) own.chunks.emplace(most + 1, width_);
        }
    } catch (const std::bad_alloc &) {
        const double results = double(cells) * double(width_ + (beside_ ? target_.shape_.second_size() : 0));
        const double chunks = double(workers_) * double(std::min<std::size_t>(most, 4096)) * double(width_);
        throw error(error_code::OUT_OF_MEMORY,
                    "these rows need up to " + std::to_string(long((results + chunks) * 8 / 1e6) + 1) +
                        " MB beside their moments, which could not be had: add fewer rows at a time");
    }
}

double * block_fold::mean_of(std::size_t layer, std::size_t part_index) {
    return means_.data() + (layer * sorted_.parts.size() + part_index) * width_;
}

double * block_fold::second_of(std::size_t layer, std::size_t part_index) {
    return seconds_.data() + (layer * sorted_.parts.size() + part_index) * target_.shape_.second_size();
}

void block_fold::prepare() {
    take_memory();
    for_each_layer(input_.layers.size(), workers_, [&](std::size_t layer, std::size_t worker) {
        try {
            prepare_layer(layer, scratch_[worker]);
        } catch (const error & e) {
            throw in_layer(e, static_cast<std::size_t>(target_.shape_.layers[layer]));
        }
    });
    stop_if(aborted_);
}

void block_fold::prepare_layer(std::size_t layer, scratch & own) {
    const row_block & block = input_.layers[layer];
    for (std::size_t p = 0; p < sorted_.parts.size(); p++) {
        const part & rows = sorted_.parts[p];
        stop_if(aborted_);
        sum_mean(block, rows, own, mean_of(layer, p));
        if (target_.shape_.second == second_moment::diagonal) {
            sum_diagonal(block, rows, own, mean_of(layer, p), second_of(layer, p));
        } else if (target_.shape_.second == second_moment::full && beside_) {
            sum_full(block, rows, own, mean_of(layer, p), nullptr, {second_of(layer, p), width_}, aborted_);
        }
    }
}

void block_fold::sum_mean(const row_block & block, const part & rows, scratch & own, double * mean) const {
    double * origin = own.shift.data();
    check_row(block, sorted_.rows[rows.first]);
    std::copy_n(floats_of(block, sorted_.rows[rows.first], own.halves.data()), width_, origin);
    for (std::size_t i = 1; i < rows.sums.count; i++) {
        if (i % rows_between_checks == 0) stop_if(aborted_);
        check_row(block, sorted_.rows[rows.first + i]);
        const double weight = sorted_.weights[rows.first + i];
        const float * from = floats_of(block, sorted_.rows[rows.first + i], own.halves.data());
        for (std::size_t j = 0; j < width_; j++) mean[j] += weight * (double(from[j]) - origin[j]);
    }
    for (std::size_t j = 0; j < width_; j++) mean[j] = origin[j] + mean[j] / rows.sums.weight;
}

void block_fold::sum_diagonal(const row_block & block, const part & rows, scratch & own, const double * mean,
                              double * second) const {
    for (std::size_t i = 0; i < rows.sums.count; i++) {
        if (i > 0 && i % rows_between_checks == 0) stop_if(aborted_);
        const double weight = sorted_.weights[rows.first + i];
        const float * from = floats_of(block, sorted_.rows[rows.first + i], own.halves.data());
        for (std::size_t j = 0; j < width_; j++) {
            const double off = double(from[j]) - mean[j];
            second[j] += weight * off * off;
        }
    }
}

void block_fold::sum_full(const row_block & block, const part & rows, scratch & own, const double * mean,
                          const double * extra, packed_lower second, const abort_check & aborted) const {
    const std::size_t count = static_cast<std::size_t>(rows.sums.count);
    const auto write_row = [&](std::size_t i, double * out) {
        if (i == count) {
            std::copy_n(extra, width_, out);
            return;
        }
        const double factor = std::sqrt(sorted_.weights[rows.first + i]);
        const float * from = floats_of(block, sorted_.rows[rows.first + i], own.halves.data());
        for (std::size_t j = 0; j < width_; j++) out[j] = factor * (double(from[j]) - mean[j]);
    };
    own.chunks->each(count + (extra ? 1 : 0), write_row, [&](const_matrix_f64 chunk) {
        stop_if(aborted);
        second.add_gram(chunk);
    });
}

void block_fold::commit() {
    if (beside_) {
        for (std::size_t l = 0; l < input_.layers.size(); l++) {
            for (std::size_t p = 0; p < sorted_.parts.size(); p++) {
                target_.join(l, sorted_.parts[p].group, sorted_.parts[p].sums, mean_of(l, p), second_of(l, p),
                             scratch_.front().shift.data());
            }
        }
        return;
    }
    try {
        for_each_layer(input_.layers.size(), workers_,
                       [&](std::size_t layer, std::size_t worker) { commit_in_place(layer, scratch_[worker]); });
    } catch (...) {
        if (disposable_) throw;
        target_.lost_ = true;
        target_.check_usable();
    }
}

void block_fold::commit_in_place(std::size_t layer, scratch & own) {
    for (std::size_t p = 0; p < sorted_.parts.size(); p++) {
        const part & rows = sorted_.parts[p];
        const double * mean = mean_of(layer, p);
        const weight_sums & before = target_.sums_[target_.cell(layer, rows.group)];
        const double * old_mean = target_.mean_of(layer, rows.group);
        double * shift = own.shift.data();
        const double share = rows.sums.weight / (before.weight + rows.sums.weight);
        const double factor = std::sqrt(before.weight * share);
        for (std::size_t j = 0; j < width_; j++) shift[j] = factor * (mean[j] - old_mean[j]);
        const packed_lower second{target_.second_of(layer, rows.group), width_};
        sum_full(input_.layers[layer], rows, own, mean, before.count > 0 ? shift : nullptr, second,
                 disposable_ ? aborted_ : abort_check());
        target_.join(layer, rows.group, rows.sums, mean, nullptr, shift);
    }
}

}  // namespace llama_steer::ridge
