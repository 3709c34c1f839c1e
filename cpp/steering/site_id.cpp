#include "steering/site_id.h"

#include <algorithm>
#include <deque>
#include <mutex>

namespace llama_steer {

namespace {

struct known_names {
    std::mutex mutex;
    std::deque<std::string> names;  // a deque: references stay valid as it grows
};

known_names & known() {
    static known_names names;
    return names;
}

}  // namespace

int32_t site_id(const std::string & name) {
    known_names & all = known();
    const std::lock_guard<std::mutex> lock(all.mutex);
    const auto found = std::find(all.names.begin(), all.names.end(), name);
    const auto id = static_cast<int32_t>(found - all.names.begin());
    if (found == all.names.end()) {
        all.names.push_back(name);
    }
    return id;
}

const std::string & name_of_site(int32_t id) {
    known_names & all = known();
    const std::lock_guard<std::mutex> lock(all.mutex);
    return all.names[static_cast<size_t>(id)];
}

}  // namespace llama_steer
