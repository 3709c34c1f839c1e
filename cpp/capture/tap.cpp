#include "capture/tap.h"

namespace llama_steer {

tap::tap(std::string node_name, std::vector<int> layers, row_selection selection, capture_destination destination)
    : node_name_(std::move(node_name)),
      layers_(std::move(layers)),
      selection_(selection),
      destination_(destination),
      cut_(layers_.size(), false) {}

void tap::begin_batch() {
    full_labels_.clear();
    cut_labels_.clear();
    cut_.assign(cut_.size(), false);
}

void tap::append(const std::vector<row_label> & full, const std::vector<row_label> & cut) {
    full_labels_.insert(full_labels_.end(), full.begin(), full.end());
    cut_labels_.insert(cut_labels_.end(), cut.begin(), cut.end());
}

}  // namespace llama_steer
