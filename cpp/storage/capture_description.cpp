#include "capture_description.h"

#include "base/error.h"
#include "json_cursor.h"

#include <set>

namespace llama_steer::storage {

namespace {

[[noreturn]] void refuse(const std::string & what) { throw error(error_code::INVALID_ARGUMENT, what); }

bool ascending(const std::vector<int32_t> & layers) {
    for (size_t i = 0; i < layers.size(); ++i) {
        if (layers[i] < (i == 0 ? 0 : layers[i - 1] + 1)) {
            return false;
        }
    }
    return true;
}

}  // namespace

const char * element_name(element_type type) { return type == element_type::f32 ? "f32" : "f16"; }

void check_description(const capture_description & description) {
    if (description.site.empty() || description.site.size() > 256 || !is_utf8(description.site)) {
        refuse("site must be a text of 1 to 256 bytes");
    }
    if (description.layers.empty() || description.layers.size() > max_layers || !ascending(description.layers)) {
        refuse("layers must be 1 to " + std::to_string(max_layers) + " numbers of blocks, ascending");
    }
    if (description.width == 0 || description.width > max_width) {
        refuse("width must be a whole number from 1 to " + std::to_string(max_width));
    }
    std::set<std::string_view> keys;
    for (const auto & [key, value] : description.metadata) {
        if (key.empty() || !keys.insert(key).second || !is_utf8(key) || !is_utf8(value)) {
            refuse("metadata must have different keys, none of them empty, and texts as values");
        }
    }
}

void check_same_capture(const capture_description & existing, const capture_description & given) {
    const std::string head = "this capture file cannot be continued so: ";
    if (existing.site != given.site) {
        refuse(head + "its site is \"" + existing.site + "\", not \"" + given.site + "\"");
    }
    if (existing.layers != given.layers) {
        refuse(head + "its layers are " + layers_text(existing.layers) + ", not " + layers_text(given.layers));
    }
    if (existing.width != given.width) {
        throw error(error_code::WIDTH_MISMATCH, head + "its rows have " + std::to_string(existing.width) +
                                                    " elements, not " + std::to_string(given.width));
    }
    if (existing.type != given.type) {
        refuse(head + "its type is \"" + element_name(existing.type) + "\", not \"" + element_name(given.type) + "\"");
    }
    if (!given.metadata.empty() && existing.metadata != given.metadata) {
        refuse(head + "its metadata is different; give the same, or none");
    }
}

std::string layers_text(const std::vector<int32_t> & layers) {
    std::string text;
    for (const int32_t layer : layers) {
        text += (text.empty() ? "" : ",") + std::to_string(layer);
    }
    return text;
}

std::vector<int32_t> layers_of(std::string_view text) {
    json_cursor at(text);
    std::vector<int32_t> layers;
    do {
        const uint64_t layer = at.integer();
        if (layer > INT32_MAX) {
            at.fail("a layer's number that is too large");
        }
        layers.push_back(static_cast<int32_t>(layer));
    } while (at.take(','));
    at.expect_end();
    return layers;
}

}  // namespace llama_steer::storage
