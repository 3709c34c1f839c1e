#include "synthetic/random_tensor.h"

#include <cmath>
#include <cstring>

namespace llama_steer::synthetic {

namespace {

constexpr int block_length = 32;

uint64_t mixed(uint64_t value) {
    value = (value ^ (value >> 30)) * 0xbf58476d1ce4e5b9ULL;
    value = (value ^ (value >> 27)) * 0x94d049bb133111ebULL;
    return value ^ (value >> 31);
}

uint64_t hash(const std::string & text) {
    uint64_t value = 0xcbf29ce484222325ULL;
    for (const char each : text) {
        value = (value ^ static_cast<uint8_t>(each)) * 0x100000001b3ULL;
    }
    return value;
}

int8_t level_of_byte(int byte) { return static_cast<int8_t>(((byte & 15) + (byte >> 4) - 15) / 2); }

/// Levels -7..7 for the 256 values of a byte: half the sum of its nibbles, centred.
const std::array<int8_t, 256> & q4_0_levels() {
    static const std::array<int8_t, 256> levels = [] {
        std::array<int8_t, 256> table{};
        for (int byte = 0; byte < 256; ++byte) {
            table[static_cast<size_t>(byte)] = level_of_byte(byte);
        }
        return table;
    }();
    return levels;
}

/// Levels -127..127 of 16 random bits: half the sum of their bytes, centred.
int8_t q8_0_level(uint32_t bits) {
    const int sum = static_cast<int>(bits & 0xFF) + static_cast<int>((bits >> 8) & 0xFF);
    return static_cast<int8_t>((sum - 255) / 2);
}

double level_deviation(ggml_type type) {
    const int outcomes = type == GGML_TYPE_Q4_0 ? 256 : 65536;
    int64_t squares = 0;
    for (int bits = 0; bits < outcomes; ++bits) {
        const int level = type == GGML_TYPE_Q4_0 ? level_of_byte(bits) : q8_0_level(static_cast<uint32_t>(bits));
        squares += level * level;
    }
    return std::sqrt(static_cast<double>(squares) / outcomes);
}

/// Scales of a block from 3/4 to 5/4 of their mean, as blocks differ in a trained model.
std::array<ggml_fp16_t, 16> scales_for(double deviation, double level) {
    std::array<ggml_fp16_t, 16> scales{};
    double squares = 0;
    for (int i = 0; i < 16; ++i) {
        squares += (45.0 + 2 * i) * (45.0 + 2 * i) / 16;
    }
    for (int i = 0; i < 16; ++i) {
        const double scale = deviation / level * (45.0 + 2 * i) / std::sqrt(squares);
        scales[static_cast<size_t>(i)] = ggml_fp32_to_fp16(static_cast<float>(scale));
    }
    return scales;
}

}  // namespace

random_tensor::random_tensor(const tensor_spec & spec, ggml_type type, uint64_t seed)
    : type_(type),
      state_(mixed(seed) ^ hash(spec.name)),
      mean_(spec.mean),
      // The sum of four numbers of 16 bits.
      step_(static_cast<float>(spec.deviation / std::sqrt((65536.0 * 65536.0 - 1) / 3))) {
    if (ggml_is_quantized(type)) {
        block_scales_ = scales_for(spec.deviation, level_deviation(type));
    }
}

void random_tensor::write(void * destination, int64_t count) {
    auto * bytes = static_cast<uint8_t *>(destination);
    switch (type_) {
        case GGML_TYPE_Q4_0:
            for (int64_t i = 0; i < count; i += block_length, bytes += 2 + block_length / 2) {
                write_q4_0(bytes);
            }
            break;
        case GGML_TYPE_Q8_0:
            for (int64_t i = 0; i < count; i += block_length, bytes += 2 + block_length) {
                write_q8_0(bytes);
            }
            break;
        case GGML_TYPE_F16:
            for (int64_t i = 0; i < count; ++i, bytes += sizeof(ggml_fp16_t)) {
                const ggml_fp16_t value = ggml_fp32_to_fp16(draw_value());
                std::memcpy(bytes, &value, sizeof value);
            }
            break;
        default:
            for (int64_t i = 0; i < count; ++i, bytes += sizeof(float)) {
                const float value = draw_value();
                std::memcpy(bytes, &value, sizeof value);
            }
    }
}

uint64_t random_tensor::draw() {
    state_ += 0x9e3779b97f4a7c15ULL;
    return mixed(state_);
}

float random_tensor::draw_value() {
    const uint64_t bits = draw();
    const auto sum =
        static_cast<int32_t>((bits & 0xFFFF) + ((bits >> 16) & 0xFFFF) + ((bits >> 32) & 0xFFFF) + (bits >> 48));
    return mean_ + static_cast<float>(sum - 2 * 65535) * step_;
}

void random_tensor::write_q8_0(uint8_t * block) {
    const ggml_fp16_t scale = block_scales_[draw() & 15];
    std::memcpy(block, &scale, sizeof scale);
    block += sizeof scale;
    for (int i = 0; i < block_length; i += 4) {
        const uint64_t bits = draw();
        for (int j = 0; j < 4; ++j) {
            block[i + j] = static_cast<uint8_t>(q8_0_level(static_cast<uint32_t>(bits >> (16 * j))));
        }
    }
}

void random_tensor::write_q4_0(uint8_t * block) {
    static const std::array<int8_t, 256> & levels = q4_0_levels();
    const ggml_fp16_t scale = block_scales_[draw() & 15];
    std::memcpy(block, &scale, sizeof scale);
    block += sizeof scale;
    for (int i = 0; i < block_length / 2; i += 4) {
        const uint64_t bits = draw();
        for (int j = 0; j < 4; ++j) {
            const int low = levels[(bits >> (16 * j)) & 0xFF] + 8;
            const int high = levels[(bits >> (16 * j + 8)) & 0xFF] + 8;
            block[i + j] = static_cast<uint8_t>(low | (high << 4));
        }
    }
}

}  // namespace llama_steer::synthetic
