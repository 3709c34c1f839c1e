#include "safetensors_header.h"

#include "base/error.h"
#include "json_cursor.h"

#include <algorithm>
#include <set>

namespace llama_steer::storage {

namespace {

[[noreturn]] void refuse(const std::string & what) { throw error(error_code::DATA_DAMAGED, what); }

uint64_t element_size(const std::string & dtype) {
    static const std::pair<const char *, uint64_t> sizes[] = {
        {"F64", 8},  {"I64", 8}, {"U64", 8}, {"F32", 4}, {"I32", 4}, {"U32", 4},  {"F16", 2},
        {"BF16", 2}, {"I16", 2}, {"U16", 2}, {"I8", 1},  {"U8", 1},  {"BOOL", 1},
    };
    for (const auto & [name, size] : sizes) {
        if (dtype == name) {
            return size;
        }
    }
    refuse("the header names a tensor of unknown dtype");
}

std::vector<uint64_t> integers(json_cursor & at) {
    std::vector<uint64_t> values;
    at.expect('[');
    if (at.take(']')) {
        return values;
    }
    do {
        values.push_back(at.integer());
    } while (at.take(','));
    at.expect(']');
    return values;
}

template <typename member>
void each_member(json_cursor & at, member && read) {
    std::set<std::string> seen;
    at.expect('{');
    if (at.take('}')) {
        return;
    }
    do {
        std::string name = at.string();
        if (!seen.insert(name).second) {
            at.fail("a name for the second time");
        }
        at.expect(':');
        read(std::move(name));
    } while (at.take(','));
    at.expect('}');
}

safetensors_tensor tensor(json_cursor & at, std::string name) {
    safetensors_tensor result;
    result.name = std::move(name);
    std::vector<uint64_t> offsets;
    each_member(at, [&](const std::string & key) {
        if (key == "dtype") {
            result.dtype = at.string();
        } else if (key == "shape") {
            result.shape = integers(at);
        } else if (key == "data_offsets") {
            offsets = integers(at);
        } else {
            at.fail("an unknown property of a tensor");
        }
    });
    if (offsets.size() != 2) {
        at.fail("a tensor without its place");
    }
    result.begin = offsets[0];
    result.end = offsets[1];
    return result;
}

void check_size(const safetensors_tensor & each) {
    uint64_t bytes = element_size(each.dtype);
    for (const uint64_t extent : each.shape) {
        if (extent != 0 && bytes > UINT64_MAX / extent) {
            refuse("the header names a tensor of impossible size");
        }
        bytes *= extent;
    }
    if (each.end < each.begin || each.end - each.begin != bytes) {
        refuse("the header gives a tensor another size than its shape has");
    }
}

void check_cover(const std::vector<safetensors_tensor> & tensors, uint64_t data_size) {
    uint64_t at = 0;
    for (const safetensors_tensor & each : tensors) {
        if (each.begin != at) {
            refuse("the tensors in the header overlap, or leave holes");
        }
        at = each.end;
    }
    if (at != data_size) {
        refuse("the file has " + std::to_string(data_size) + " bytes of data, where its header says " +
               std::to_string(at));
    }
}

std::string list(const std::vector<uint64_t> & values) {
    std::string text = "[";
    for (const uint64_t value : values) {
        text += (text.size() > 1 ? "," : "") + std::to_string(value);
    }
    return text + "]";
}

}  // namespace

const std::string * safetensors_header::find(std::string_view key) const {
    for (const auto & [name, value] : metadata) {
        if (name == key) {
            return &value;
        }
    }
    return nullptr;
}

uint64_t header_json_length(const unsigned char (&first)[8], uint64_t file_size) {
    uint64_t length = 0;
    for (int i = 7; i >= 0; --i) {
        length = (length << 8) | first[i];
    }
    if (length < 2 || length > max_header_json || file_size < 8 || length > file_size - 8) {
        refuse("it is no safetensors file, or its first bytes are damaged");
    }
    return length;
}

safetensors_header parse_safetensors(std::string_view json, uint64_t data_size) {
    safetensors_header header;
    json_cursor at(json);
    each_member(at, [&](std::string name) {
        if (name == "__metadata__") {
            each_member(at, [&](std::string key) { header.metadata.emplace_back(std::move(key), at.string()); });
        } else {
            header.tensors.push_back(tensor(at, std::move(name)));
        }
    });
    at.expect_end();
    std::stable_sort(header.tensors.begin(), header.tensors.end(), [](const auto & a, const auto & b) {
        return a.begin != b.begin ? a.begin < b.begin : a.end < b.end;
    });
    std::for_each(header.tensors.begin(), header.tensors.end(), check_size);
    check_cover(header.tensors, data_size);
    return header;
}

std::string write_safetensors(const safetensors_header & header, uint64_t alignment) {
    std::string json = "{\"__metadata__\":{";
    for (const auto & [key, value] : header.metadata) {
        json += (json.back() == '{' ? "" : ",") + json_string(key) + ":" + json_string(value);
    }
    json += "}";
    for (const safetensors_tensor & each : header.tensors) {
        json += "," + json_string(each.name) + ":{\"dtype\":" + json_string(each.dtype) +
                ",\"shape\":" + list(each.shape) + ",\"data_offsets\":" + list({each.begin, each.end}) + "}";
    }
    json += "}";
    json.append((alignment - (8 + json.size()) % alignment) % alignment, ' ');
    if (json.size() > max_header_json) {
        throw error(error_code::INVALID_ARGUMENT, "the header would have " + std::to_string(json.size()) +
                                                      " bytes, more than " + std::to_string(max_header_json) +
                                                      ": give less metadata, or fewer layers");
    }
    std::string bytes(8, '\0');
    for (int i = 0; i < 8; ++i) {
        bytes[i] = static_cast<char>((json.size() >> (8 * i)) & 0xff);
    }
    return bytes + json;
}

}  // namespace llama_steer::storage
