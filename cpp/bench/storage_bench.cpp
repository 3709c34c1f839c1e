// Times capture files against plain system calls with the same bytes:
//
//   storage_bench [directory] [rounds] [megabytes]      defaults: the system's temporary folder, 7 rounds, 384 MB
//
// Every round writes and reads each case once on both sides, block by block in turn. Rates are medians over rounds,
// with the quartiles; a ratio is the median of the ratios within each round. "on the disk" ends with fsync on both
// sides: the shards are closed, the plain file is synchronized.

#include "storage/capture_file_reader.h"
#include "storage/capture_file_writer.h"
#include "storage/file_sink.h"
#include "storage/mapped_file.h"

#include <algorithm>
#include <chrono>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <functional>
#include <string>
#include <vector>

using namespace llama_steer;
using namespace llama_steer::storage;

namespace {

constexpr size_t rows_per_block = 64;

struct shape {
    size_t layers;
    size_t width;
    element_type type;
};

/// Seconds of each side, by round.
struct pair_of_times {
    std::string name;
    std::string against;
    double bytes;
    std::vector<double> ours = {}, plain = {};
};

double seconds_of(const std::function<void()> & run) {
    const auto start = std::chrono::steady_clock::now();
    run();
    return std::chrono::duration<double>(std::chrono::steady_clock::now() - start).count();
}

double quantile(std::vector<double> values, double q) {
    std::sort(values.begin(), values.end());
    return values[static_cast<size_t>(q * static_cast<double>(values.size() - 1) + 0.5)];
}

/// One shape: what is written, and the times of each of its cases.
class problem {
public:
    problem(const shape & what, std::filesystem::path folder, size_t bytes)
        : shape_(what), folder_(std::move(folder)), row_bytes_(what.width * element_bytes(what.type)) {
        blocks_ = std::max<size_t>(1, bytes / (rows_per_block * what.layers * row_bytes_));
        rows_.resize(what.layers * rows_per_block * what.width);
        for (size_t i = 0; i < rows_.size(); ++i) {
            rows_[i] = static_cast<float>(i % 4093) / 64 - 32;
        }
        labels_.assign(rows_per_block, 7);
        const std::string name =
            std::to_string(what.layers) + " x " + std::to_string(what.width) + " " + element_name(what.type);
        const double total = static_cast<double>(blocks_ * block_bytes());
        times_ = {{"append, " + name, "pwrite", total},
                  {"append and close, on the disk, " + name, "pwrite, fsync", total},
                  {"read, " + name, "pread", total},
                  {"read, " + name, "memcpy", total},
                  {"sum the mapped rows, " + name, "sum of memory", total}};
    }

    void round() {
        write(0, shape_.layers * blocks_ * rows_per_block * row_bytes_ * 2, false);
        read();
        write(1, capture_writer_options{}.shard_bytes, true);
        std::filesystem::remove_all(folder_);
    }

    const std::vector<pair_of_times> & times() const { return times_; }

private:
    size_t block_bytes() const { return shape_.layers * rows_per_block * row_bytes_; }

    row_block block() const {
        row_block result;
        for (size_t layer = 0; layer < shape_.layers; ++layer) {
            result.layers.push_back(rows_.data() + layer * rows_per_block * shape_.width);
        }
        result.rows = rows_per_block;
        result.sequence = result.position = result.token = result.prompt = labels_.data();
        return result;
    }

    void write(size_t which, uint64_t shard_bytes, bool on_disk) {
        std::filesystem::remove_all(folder_);
        std::filesystem::create_directories(folder_);
        capture_description description{"residual", {}, shape_.width, shape_.type, {}};
        for (size_t layer = 0; layer < shape_.layers; ++layer) {
            description.layers.push_back(static_cast<int32_t>(layer));
        }
        capture_writer_options options;
        options.shard_bytes = shard_bytes;
        capture_file_writer writer(folder_ / "capture", description, options);
        file_sink plain(folder_ / "plain", file_sink::mode::create);
        plain.resize(blocks_ * block_bytes());
        const row_block rows = block();
        double ours = 0;
        double theirs = 0;
        for (size_t i = 0; i < blocks_; ++i) {
            theirs += seconds_of([&] {
                for (size_t layer = 0; layer < shape_.layers; ++layer) {
                    plain.write((layer * blocks_ + i) * rows_per_block * row_bytes_, rows.layers[layer],
                                rows_per_block * row_bytes_);
                }
            });
            ours += seconds_of([&] { writer.append(rows); });
        }
        if (on_disk) {
            theirs += seconds_of([&] { plain.sync(); });
            ours += seconds_of([&] { writer.close(); });
        } else {
            writer.close();
        }
        times_[which].ours.push_back(ours);
        times_[which].plain.push_back(theirs);
    }

    void read() {
        const capture_file_reader reader(folder_ / "capture");
        const mapped_file plain(folder_ / "plain");
        std::vector<size_t> slots(shape_.layers);
        for (size_t i = 0; i < slots.size(); ++i) slots[i] = i;
        std::vector<float> target(rows_.size());
        std::vector<float> copy(rows_.size());
        double ours = 0, with_pread = 0, with_memcpy = 0;
        for (size_t i = 0; i < blocks_; ++i) {
            with_pread += seconds_of([&] { plain.read(i * block_bytes(), copy.data(), block_bytes()); });
            ours += seconds_of(
                [&] { reader.copy(slots, i * rows_per_block, rows_per_block, element_type::f32, target.data()); });
            with_memcpy += seconds_of([&] { std::memcpy(copy.data(), rows_.data(), block_bytes()); });
        }
        times_[2].ours.push_back(ours);
        times_[2].plain.push_back(with_pread);
        times_[3].ours.push_back(ours);
        times_[3].plain.push_back(with_memcpy);
        times_[4].ours.push_back(seconds_of([&] {
            for (size_t slot = 0; slot < shape_.layers; ++slot) {
                const mapped_rows rows = reader.layer_rows(0, slot);
                sum_ += sum_words(rows.data, rows.rows * row_bytes_);
            }
        }));
        times_[4].plain.push_back(seconds_of([&] {
            for (size_t i = 0; i < blocks_; ++i) sum_ += sum_words(rows_.data(), block_bytes());
        }));
    }

    static uint64_t sum_words(const void * data, size_t bytes) {
        const auto * words = static_cast<const uint32_t *>(data);
        uint64_t sum = 0;
        for (size_t i = 0; i < bytes / sizeof *words; ++i) sum += words[i];
        return sum;
    }

    shape shape_;
    std::filesystem::path folder_;
    size_t row_bytes_;
    size_t blocks_ = 0;
    std::vector<float> rows_;
    std::vector<int32_t> labels_;
    std::vector<pair_of_times> times_;
    volatile uint64_t sum_ = 0;
};

void print(const pair_of_times & each) {
    const double ours = quantile(each.ours, 0.5);
    std::vector<double> ratios;
    for (size_t i = 0; i < each.ours.size(); ++i) ratios.push_back(each.ours[i] / each.plain[i]);
    std::printf("| %s | %.2f | %.2f to %.2f | %s %.2f | %.2f | %.2f to %.2f |\n", each.name.c_str(),
                each.bytes / ours * 1e-9, each.bytes / quantile(each.ours, 0.75) * 1e-9,
                each.bytes / quantile(each.ours, 0.25) * 1e-9, each.against.c_str(),
                each.bytes / quantile(each.plain, 0.5) * 1e-9, quantile(ratios, 0.5), quantile(ratios, 0.25),
                quantile(ratios, 0.75));
}

}  // namespace

int main(int argc, char ** argv) {
    const std::filesystem::path folder =
        (argc > 1 ? std::filesystem::path(argv[1]) : std::filesystem::temp_directory_path()) / "llama-steer-bench";
    const long rounds = argc > 2 ? std::strtol(argv[2], nullptr, 10) : 7;
    const long megabytes = argc > 3 ? std::strtol(argv[3], nullptr, 10) : 384;
    if (rounds < 1 || megabytes < 1) {
        std::fprintf(stderr, "usage: storage_bench [directory] [rounds >= 1] [megabytes >= 1]\n");
        return 2;
    }
    try {
        std::printf(
            "| case | GB/s | quartiles | plain GB/s | time ratio | quartiles |\n| --- | --- | --- | --- | --- | --- "
            "|\n");
        for (const shape & what : {shape{24, 1024, element_type::f32}, shape{36, 2560, element_type::f32},
                                   shape{24, 1024, element_type::f16}, shape{36, 2560, element_type::f16}}) {
            problem one(what, folder, static_cast<size_t>(megabytes) * 1000000);
            for (long round = 0; round < rounds; ++round) one.round();
            for (const pair_of_times & each : one.times()) print(each);
        }
    } catch (const error & e) {
        std::fprintf(stderr, "%s: %s\n", error_code_name(e.code()), e.what());
        return 1;
    }
    return 0;
}
