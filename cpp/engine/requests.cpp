#include "engine/requests.h"

namespace llama_steer {

capture_labels labels_of(const std::shared_ptr<tap> & target) {
    capture_labels labels{target, target->full_labels(), target->cut_labels(), {}};
    for (size_t slot = 0; slot < target->layers().size(); ++slot) {
        labels.is_cut.push_back(target->is_cut(slot));
    }
    return labels;
}

}  // namespace llama_steer
