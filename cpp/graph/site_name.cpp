#include "graph/site_name.h"

#include <cctype>
#include <cstring>

namespace llama_steer {

site_name parse_site_name(const char * tensor_name) {
    const char * dash = std::strrchr(tensor_name, '-');
    if (dash == nullptr || dash[1] == '\0' || std::strlen(dash + 1) > 6) {
        return {tensor_name, -1};
    }
    int layer = 0;
    for (const char * digit = dash + 1; *digit != '\0'; ++digit) {
        if (std::isdigit(static_cast<unsigned char>(*digit)) == 0) {
            return {tensor_name, -1};
        }
        layer = layer * 10 + (*digit - '0');
    }
    return {std::string(tensor_name, dash), layer};
}

}  // namespace llama_steer
