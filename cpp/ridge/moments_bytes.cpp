#include "moments_bytes.h"

#include "base/error.h"
#include "checksum.h"
#include "little_endian.h"

#include <algorithm>
#include <climits>
#include <cmath>
#include <cstring>
#include <functional>
#include <string>
#include <utility>

namespace llama_steer::ridge {

namespace {

constexpr char magic[] = "LSMOMENT";
constexpr std::size_t magic_size = 8, header_size = 40, checksum_size = 8;
constexpr std::uint64_t version = 1;

[[noreturn]] void refuse(const std::string & why) {
    throw error(error_code::DATA_DAMAGED, "these bytes hold no moments that can be used: " + why);
}

class byte_writer {
public:
    explicit byte_writer(std::uint8_t * out) : at_(out) {}

    void number(std::uint64_t value, std::size_t size) {
        for (std::size_t i = 0; i < size; i++) *at_++ = static_cast<std::uint8_t>(value >> (8 * i));
    }
    void doubles(const double * values, std::size_t count) {
        for (std::size_t i = 0; i < count; i++) {
            std::uint64_t bits;
            std::memcpy(&bits, values + i, sizeof bits);
            store64(bits, at_ + i * sizeof bits);
        }
        at_ += count * sizeof(double);
    }

private:
    std::uint8_t * at_;
};

class byte_reader {
public:
    explicit byte_reader(const std::uint8_t * bytes) : at_(bytes) {}

    std::uint64_t number(std::size_t size) {
        std::uint64_t value = 0;
        for (std::size_t i = 0; i < size; i++) value |= std::uint64_t(*at_++) << (8 * i);
        return value;
    }
    void doubles(double * values, std::size_t count) {
        for (std::size_t i = 0; i < count; i++) {
            const std::uint64_t bits = load64(at_ + i * sizeof bits);
            std::memcpy(values + i, &bits, sizeof bits);
            if (!std::isfinite(values[i])) refuse("a value is not finite");
        }
        at_ += count * sizeof(double);
    }

private:
    const std::uint8_t * at_;
};

std::size_t stored_second(const moments_shape & shape) {
    if (shape.second != second_moment::full) return shape.second_size();
    return shape.width * (shape.width + 1) / 2;
}

std::size_t stored_cell(const moments_shape & shape) { return 24 + 8 * (shape.width + stored_second(shape)); }

moments_shape read_shape(const std::uint8_t * bytes, std::size_t count) {
    byte_reader in(bytes + magic_size);
    const std::uint64_t written = in.number(4), second = in.number(4);
    const std::uint64_t layers = in.number(8), groups = in.number(8), width = in.number(8);
    if (written != version) {
        refuse("their format is version " + std::to_string(written) + ", and this package reads version 1");
    }
    if (second > 2) refuse("they name an unknown kind of second moment");
    const std::uint64_t room = count - header_size - checksum_size;
    if (layers == 0 || groups == 0 || width == 0) refuse("they name no layers, groups or columns");
    if (layers > room / 4 || groups > room / 32 || width > room / 8 || width > largest_width)
        refuse("they are too short");
    moments_shape shape;
    shape.second = static_cast<second_moment>(second);
    shape.groups = groups;
    shape.width = width;
    if (layers > room / groups || stored_cell(shape) > room / (layers * groups)) refuse("they are too short");
    shape.layers.resize(layers);
    for (std::int32_t & layer : shape.layers) {
        const std::uint64_t number = in.number(4);
        if (number > INT_MAX) refuse("they name a layer beyond 2^31 - 1");
        layer = static_cast<std::int32_t>(number);
    }
    if (std::adjacent_find(shape.layers.begin(), shape.layers.end(), std::greater_equal<>()) != shape.layers.end()) {
        refuse("their layers are not ascending");
    }
    if (moments_byte_count(shape) != count) refuse("their length does not fit what they say they hold");
    return shape;
}

}  // namespace

class moments_reader {
public:
    static void read(moments_accumulator & to, byte_reader in) {
        const moments_shape & shape = to.shape_;
        for (std::size_t l = 0; l < shape.layers.size(); l++) {
            for (std::size_t g = 0; g < shape.groups; g++) {
                weight_sums & sums = to.sums_[to.cell(l, g)];
                sums.count = in.number(8);
                in.doubles(&sums.weight, 1);
                in.doubles(&sums.squares, 1);
                if ((sums.count > 0) != (sums.weight > 0) || (sums.count > 0) != (sums.squares > 0)) {
                    refuse("a weight does not fit its number of rows");
                }
                in.doubles(to.mean_of(l, g), shape.width);
                read_second(shape, to.second_of(l, g), in);
            }
        }
    }

private:
    static void read_second(const moments_shape & shape, double * to, byte_reader & in) {
        if (shape.second == second_moment::full) {
            for (std::size_t i = 0; i < shape.width; i++) in.doubles(packed_lower{to, shape.width}.row(i), i + 1);
        } else {
            in.doubles(to, shape.second_size());
        }
    }
};

std::size_t moments_byte_count(const moments_shape & shape) {
    return header_size + 4 * shape.layers.size() + shape.cells() * stored_cell(shape) + checksum_size;
}

void write_moments(const moments_accumulator & source, std::uint8_t * out) {
    const moments_shape & shape = source.shape();
    std::memcpy(out, magic, magic_size);
    byte_writer to(out + magic_size);
    to.number(version, 4);
    to.number(static_cast<std::uint64_t>(shape.second), 4);
    to.number(shape.layers.size(), 8);
    to.number(shape.groups, 8);
    to.number(shape.width, 8);
    for (const std::int32_t layer : shape.layers) to.number(static_cast<std::uint32_t>(layer), 4);
    const std::vector<double> zeros(shape.width);
    for (std::size_t l = 0; l < shape.layers.size(); l++) {
        for (std::size_t g = 0; g < shape.groups; g++) {
            const weight_sums sums = source.sums(l, g);
            const bool empty = sums.count == 0;
            to.number(sums.count, 8);
            to.doubles(&sums.weight, 1);
            to.doubles(&sums.squares, 1);
            to.doubles(empty ? zeros.data() : source.mean(l, g), shape.width);
            if (shape.second == second_moment::diagonal) {
                to.doubles(empty ? zeros.data() : source.second(l, g), shape.width);
            } else if (shape.second == second_moment::full) {
                for (std::size_t i = 0; i < shape.width; i++) {
                    const double * row = empty ? zeros.data() : packed_row(source.second(l, g), shape.width, i);
                    to.doubles(row, i + 1);
                }
            }
        }
    }
    const std::size_t size = moments_byte_count(shape);
    byte_writer(out + size - checksum_size).number(checksum64(out, size - checksum_size), 8);
}

moments_accumulator read_moments(const std::uint8_t * bytes, std::size_t count) {
    if (count < header_size + checksum_size) refuse("they are too short");
    if (std::memcmp(bytes, magic, magic_size) != 0) refuse("they begin as something else");
    byte_reader stored(bytes + count - checksum_size);
    if (stored.number(8) != checksum64(bytes, count - checksum_size)) {
        refuse("their checksum does not fit: some were changed or cut off");
    }
    moments_accumulator made(read_shape(bytes, count));
    moments_reader::read(made, byte_reader(bytes + header_size + 4 * made.shape().layers.size()));
    return made;
}

}  // namespace llama_steer::ridge
