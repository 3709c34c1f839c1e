#include "shard_header.h"

#include "base/error.h"
#include "crc32c.h"
#include "json_cursor.h"
#include "safetensors_header.h"

#include <array>

namespace llama_steer::storage {

namespace {

constexpr std::string_view format_name = "llama-steer-capture";
constexpr std::string_view format_version = "1";
constexpr std::string_view callers_key = "user.";
constexpr std::string_view begin_of_json = "{\"__metadata__\":{\"header_checksum\":\"";
constexpr size_t checksum_at = 8 + begin_of_json.size();
constexpr size_t checksum_digits = 8;
constexpr size_t rows_digits = 12;
constexpr std::array<const char *, 3> state_names = {"unclosed", "finished", "complete"};

[[noreturn]] void refuse(const std::string & what) { throw error(error_code::DATA_DAMAGED, what); }

std::string hex(uint32_t value) {
    std::string digits(checksum_digits, '0');
    for (size_t i = 0; i < digits.size(); ++i) {
        digits[digits.size() - 1 - i] = "0123456789abcdef"[(value >> (4 * i)) & 15];
    }
    return digits;
}

/// The checksum of a header, whose own digits count as zeros.
std::string checksum_of(std::string_view bytes) {
    const std::string zeros(checksum_digits, '0');
    const uint32_t before = crc32c(zeros.data(), zeros.size(), crc32c(bytes.data(), checksum_at));
    const std::string_view after = bytes.substr(checksum_at + checksum_digits);
    return hex(crc32c(after.data(), after.size(), before));
}

std::vector<safetensors_tensor> tensors_of(const shard_header & header) {
    const capture_description & what = header.description;
    std::vector<safetensors_tensor> tensors;
    uint64_t at = 0;
    const auto add = [&](std::string name, const char * dtype, std::vector<uint64_t> shape, uint64_t bytes) {
        tensors.push_back({std::move(name), dtype, std::move(shape), at, at + bytes});
        at += bytes;
    };
    for (const char * column : label_columns) {
        add(column, "I32", {header.capacity}, 4 * header.capacity);
    }
    add("label_checksum", "U32", {header.capacity}, 4 * header.capacity);
    add("checksum", "U32", {header.capacity, what.layers.size()}, 4 * header.capacity * what.layers.size());
    for (const int32_t layer : what.layers) {
        add("layer." + std::to_string(layer), what.type == element_type::f32 ? "F32" : "F16",
            {header.capacity, what.width}, header.capacity * what.row_bytes());
    }
    return tensors;
}

std::string padded(uint64_t value, size_t digits) {
    const std::string text = std::to_string(value);
    return std::string(digits - std::min(digits, text.size()), '0') + text;
}

/// Reads the metadata of a header that is known to be whole.
class metadata_reader {
public:
    explicit metadata_reader(const safetensors_header & source) : source_(source) {}

    const std::string & text(std::string_view key) const {
        const std::string * value = source_.find(key);
        if (value == nullptr) {
            refuse("the header has no " + std::string(key));
        }
        return *value;
    }

    uint64_t number(std::string_view key, uint64_t highest) const {
        std::string digits = text(key);
        digits.erase(0, std::min(digits.find_first_not_of('0'), digits.size() - std::min<size_t>(1, digits.size())));
        json_cursor at(digits);
        const uint64_t value = at.integer();
        at.expect_end();
        if (value > highest) {
            refuse("the header's " + std::string(key) + " is impossible");
        }
        return value;
    }

    template <size_t count>
    size_t one_of(std::string_view key, const std::array<const char *, count> & names) const {
        const std::string & value = text(key);
        for (size_t i = 0; i < count; ++i) {
            if (value == names[i]) {
                return i;
            }
        }
        refuse("the header's " + std::string(key) + " is unknown");
    }

private:
    const safetensors_header & source_;
};

shard_header header_of(const safetensors_header & parsed) {
    const metadata_reader read(parsed);
    if (read.text("format") != format_name) {
        refuse("it is no capture file");
    }
    if (read.text("version") != format_version) {
        refuse("its format has version " + read.text("version").substr(0, 16) + ", and this package reads " +
               std::string(format_version));
    }
    shard_header header;
    header.description.site = read.text("site");
    header.description.layers = layers_of(read.text("layers"));
    header.description.width = read.number("width", max_width);
    header.description.type = static_cast<element_type>(read.one_of("type", std::array<const char *, 2>{"f32", "f16"}));
    for (const auto & [key, value] : parsed.metadata) {
        if (key.compare(0, callers_key.size(), callers_key) == 0) {
            header.description.metadata.emplace_back(key.substr(callers_key.size()), value);
        }
    }
    header.shard = static_cast<uint32_t>(read.number("shard", UINT32_MAX));
    header.first_row = read.number("first_row", UINT64_MAX / 2);
    header.capacity = read.number("capacity", max_capacity);
    header.rows = read.number("rows", max_capacity);
    header.state = static_cast<shard_state>(read.one_of("state", state_names));
    return header;
}

void check(const shard_header & header, const std::vector<safetensors_tensor> & tensors) {
    try {
        check_description(header.description);
    } catch (const error & failure) {
        refuse(failure.what());
    }
    if (header.rows != (header.state == shard_state::unclosed ? 0 : header.capacity)) {
        refuse("the header's number of rows is impossible");
    }
    if (tensors != tensors_of(header)) {
        refuse("its tensors are not those of a capture file");
    }
}

}  // namespace

std::string encode_shard_header(const shard_header & header) {
    const capture_description & what = header.description;
    safetensors_header file;
    file.metadata = {
        {"header_checksum", std::string(checksum_digits, '0')},
        {"state", state_names[static_cast<size_t>(header.state)]},
        {"rows", padded(header.rows, rows_digits)},
        {"format", std::string(format_name)},
        {"version", std::string(format_version)},
        {"site", what.site},
        {"layers", layers_text(what.layers)},
        {"width", std::to_string(what.width)},
        {"type", element_name(what.type)},
        {"shard", std::to_string(header.shard)},
        {"first_row", std::to_string(header.first_row)},
        {"capacity", std::to_string(header.capacity)},
    };
    for (const auto & [key, value] : what.metadata) {
        file.metadata.emplace_back(std::string(callers_key) + key, value);
    }
    file.tensors = tensors_of(header);
    std::string bytes = write_safetensors(file, header_alignment);
    bytes.replace(checksum_at, checksum_digits, checksum_of(bytes));
    return bytes;
}

shard_layout layout_of(const shard_header & header, uint64_t header_bytes) {
    return {header_bytes, header.description.layers.size(), header.description.row_bytes(), header.capacity};
}

shard_header decode_shard_header(std::string_view bytes, uint64_t file_size, const std::string & name) {
    try {
        if (bytes.size() < checksum_at + checksum_digits || bytes.substr(8, begin_of_json.size()) != begin_of_json) {
            refuse("it is no capture file, or its first bytes are damaged");
        }
        if (bytes.substr(checksum_at, checksum_digits) != checksum_of(bytes)) {
            refuse("the header does not have its checksum");
        }
        const safetensors_header parsed = parse_safetensors(bytes.substr(8), file_size - bytes.size());
        shard_header header = header_of(parsed);
        check(header, parsed.tensors);
        return header;
    } catch (const error & failure) {
        throw error(failure.code(), name + " is damaged: " + failure.what());
    }
}

}  // namespace llama_steer::storage
