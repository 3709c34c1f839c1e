#include "moments_accumulator.h"

#include "base/error.h"

#include <algorithm>
#include <climits>
#include <string>
#include <utility>

namespace llama_steer::ridge {

namespace {

[[noreturn]] void refuse(const std::string & message) { throw error(error_code::INVALID_ARGUMENT, message); }

void check_shape(const moments_shape & shape) {
    if (shape.layers.empty()) refuse("moments need at least one layer");
    for (std::size_t i = 0; i < shape.layers.size(); i++) {
        if (shape.layers[i] < 0) refuse("layer " + std::to_string(shape.layers[i]) + " is negative");
        if (i > 0 && shape.layers[i] <= shape.layers[i - 1]) refuse("layers must be ascending");
    }
    if (shape.groups < 1 || shape.groups > INT_MAX) refuse("groups must be from 1 to 2^31 - 1");
    if (shape.width < 1 || shape.width > largest_width) refuse("the width must be from 1 to 2^30");
}

std::string gigabytes(double bytes) {
    const std::string text = std::to_string(bytes / 1e9);
    return text.substr(0, text.find('.') + 3) + " GB";
}

[[noreturn]] void refuse_memory(const moments_shape & shape) {
    const double numbers = double(shape.cells()) * double(shape.width + shape.second_size());
    throw error(error_code::OUT_OF_MEMORY,
                describe(shape) + " need " + gigabytes(numbers * sizeof(double)) +
                    ", which could not be had: keep fewer layers or groups, or only the diagonal of the second moment");
}

}  // namespace

std::string describe(const moments_shape & shape) {
    return "moments of " + std::to_string(shape.layers.size()) + " layers x " + std::to_string(shape.groups) +
           " groups of width " + std::to_string(shape.width);
}

std::size_t moments_shape::second_size() const {
    if (second == second_moment::none) return 0;
    return second == second_moment::diagonal ? width : packed_size(width);
}

std::size_t moments_shape::bytes() const {
    check_shape(*this);
    constexpr std::size_t most = SIZE_MAX / 2;
    const std::size_t numbers = width + second_size();
    if (numbers > most / sizeof(double) / cells() - sizeof(weight_sums)) refuse_memory(*this);
    return cells() * (numbers * sizeof(double) + sizeof(weight_sums));
}

moments_accumulator::moments_accumulator(moments_shape shape) : shape_(std::move(shape)) {
    shape_.bytes();
    try {
        sums_.resize(shape_.cells());
    } catch (const std::bad_alloc &) {
        refuse_memory(shape_);
    }
    // One block: a system that counts what it has promised then refuses what it cannot keep.
    memory_.reset(
        static_cast<double *>(std::calloc(shape_.cells() * (shape_.width + shape_.second_size()), sizeof(double))));
    if (!memory_) refuse_memory(shape_);
}

void moments_accumulator::check_usable() const {
    if (lost_) {
        throw error(error_code::OUT_OF_MEMORY,
                    "memory ran out in the midst of a sum, and the accumulator is lost: make another, and fold fewer "
                    "rows at a time");
    }
}

double * moments_accumulator::mean_of(std::size_t layer, std::size_t group) const {
    return memory_.get() + cell(layer, group) * (shape_.width + shape_.second_size());
}

void moments_accumulator::merge(const moments_accumulator & other) {
    check_usable();
    other.check_usable();
    if (this == &other) refuse("an accumulator cannot be merged with itself");
    if (shape_.width != other.shape_.width) {
        throw error(error_code::WIDTH_MISMATCH, "moments of width " + std::to_string(other.shape_.width) +
                                                    " cannot be merged into those of width " +
                                                    std::to_string(shape_.width));
    }
    if (shape_.layers != other.shape_.layers) refuse("moments of other layers cannot be merged");
    if (shape_.groups != other.shape_.groups) {
        refuse("moments of " + std::to_string(other.shape_.groups) + " groups cannot be merged into those of " +
               std::to_string(shape_.groups));
    }
    if (shape_.second != other.shape_.second) refuse("moments with another kind of second moment cannot be merged");
    std::vector<double> shift(shape_.width);
    for (std::size_t l = 0; l < shape_.layers.size(); l++) {
        for (std::size_t g = 0; g < shape_.groups; g++) {
            join(l, g, other.sums_[cell(l, g)], other.mean_of(l, g), other.second_of(l, g), shift.data());
        }
    }
}

void moments_accumulator::join(std::size_t layer, std::size_t group, const weight_sums & sums, const double * mean,
                               const double * second, double * shift) {
    if (sums.count == 0) return;
    const std::size_t d = shape_.width;
    weight_sums & own = sums_[cell(layer, group)];
    double * own_mean = mean_of(layer, group);
    double * own_second = second_of(layer, group);
    const double share = own.count == 0 ? 1 : sums.weight / (own.weight + sums.weight);
    const double factor = own.count == 0 ? 0 : own.weight * share;
    for (std::size_t j = 0; j < d; j++) shift[j] = own.count == 0 ? 0 : mean[j] - own_mean[j];
    if (second && shape_.second == second_moment::full) {
        packed_lower{own_second, d}.add(second, factor, shift);
    } else if (second && shape_.second == second_moment::diagonal) {
        for (std::size_t j = 0; j < d; j++) own_second[j] += second[j] + factor * shift[j] * shift[j];
    }
    for (std::size_t j = 0; j < d; j++) own_mean[j] = own.count == 0 ? mean[j] : own_mean[j] + share * shift[j];
    own.count += sums.count;
    own.weight += sums.weight;
    own.squares += sums.squares;
}

weight_sums moments_accumulator::sums(std::size_t layer, std::size_t group) const {
    check_usable();
    if (layer >= shape_.layers.size()) refuse("there is no layer " + std::to_string(layer) + " here");
    if (group >= shape_.groups) {
        refuse("there is no group " + std::to_string(group) + ": there are " + std::to_string(shape_.groups) +
               ", counted from 0");
    }
    return sums_[cell(layer, group)];
}

void moments_accumulator::check_filled(std::size_t layer, std::size_t group) const {
    if (sums(layer, group).count > 0) return;
    throw error(error_code::EMPTY_CLASS, "layer " + std::to_string(shape_.layers[layer]) + ", group " +
                                             std::to_string(group) + ": no row of positive weight was added");
}

const double * moments_accumulator::mean(std::size_t layer, std::size_t group) const {
    check_filled(layer, group);
    return mean_of(layer, group);
}

const double * moments_accumulator::second(std::size_t layer, std::size_t group) const {
    check_filled(layer, group);
    return second_of(layer, group);
}

double moments_accumulator::divisor(std::size_t layer, std::size_t group, normalization by) const {
    check_filled(layer, group);
    const weight_sums & own = sums_[cell(layer, group)];
    if (by == normalization::weight) return own.weight;
    const double rest = own.weight - own.squares / own.weight;
    if (own.count > 1 && rest > 1e-12 * own.weight) return rest;
    refuse("layer " + std::to_string(shape_.layers[layer]) + ", group " + std::to_string(group) +
           ": an unbiased estimate needs two rows at least, none of which outweighs all others");
}

void moments_accumulator::variance(std::size_t layer, std::size_t group, normalization by, double * out) const {
    const double below = divisor(layer, group, by);
    if (shape_.second == second_moment::none) refuse("no second moment is kept here: there is no variance");
    double * own = second_of(layer, group);
    for (std::size_t j = 0; j < shape_.width; j++) {
        out[j] = (shape_.second == second_moment::full ? packed_lower{own, shape_.width}.row(j)[j] : own[j]) / below;
    }
}

void moments_accumulator::covariance(std::size_t layer, std::size_t group, normalization by, matrix_f64 out) const {
    const double below = divisor(layer, group, by);
    if (shape_.second != second_moment::full) refuse("the full second moment is not kept here: there is no covariance");
    if (out.rows != shape_.width || out.cols != shape_.width) {
        throw error(error_code::WIDTH_MISMATCH, "a covariance of order " + std::to_string(shape_.width) +
                                                    " does not fit a matrix of " + std::to_string(out.rows) + " x " +
                                                    std::to_string(out.cols));
    }
    packed_lower{second_of(layer, group), shape_.width}.copy_to(out, below);
}

}  // namespace llama_steer::ridge
