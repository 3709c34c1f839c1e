#include "capture/tap.h"

#include <algorithm>

namespace llama_steer {

tap::tap(tap_request request) : request_(std::move(request)), cut_(request_.layers.size(), false) {}

bool tap::takes_all() const {
    return request_.sequence < 0 && request_.rows.selection().scope == token_scope::all &&
           request_.destination.type == element_type::f32;
}

bool tap::needs_outputs(int n_layers) const {
    const token_scope scope = request_.rows.selection().scope;
    return scope != token_scope::all && scope != token_scope::outputs &&
           std::find(request_.layers.begin(), request_.layers.end(), n_layers - 1) != request_.layers.end();
}

void tap::clear() {
    full_labels_.clear();
    cut_labels_.clear();
    cut_.assign(cut_.size(), false);
}

void tap::append(const std::vector<row_label> & full, const std::vector<row_label> & cut) {
    full_labels_.insert(full_labels_.end(), full.begin(), full.end());
    cut_labels_.insert(cut_labels_.end(), cut.begin(), cut.end());
}

}  // namespace llama_steer
