#pragma once

#include "bench/callback_side.h"
#include "bench/layer_input_side.h"
#include "bench/plain_side.h"
#include "bench/side_kind.h"
#include "bench/steer_side.h"

#include <memory>
#include <string>
#include <vector>

namespace llama_steer::bench {

/// The sides of the capture benchmark besides the baseline. `capacity`: most tokens of a batch. `few`: only those
/// without which the others say nothing.
inline std::vector<side_kind> capture_sides(const std::shared_ptr<const model> & source,
                                            const context_options & options, int64_t capacity, bool layer_inputs,
                                            bool few) {
    const std::vector<int> all = all_layers(*source);
    const auto ours = [=](std::optional<capture_plan> plan) {
        return [=]() -> std::unique_ptr<side> { return std::make_unique<steer_side>(source, options, plan, capacity); };
    };
    std::vector<side_kind> kinds;
    const auto add = [&](const char * name, side_role role, side_factory make) {
        if (!few || role != side_role::other) {
            kinds.push_back({name, role, std::move(make)});
        }
    };
    add("control: the baseline again", side_role::control,
        [=] { return std::make_unique<plain_side>(source, options); });
    add("ours, idle", side_role::other, ours(std::nullopt));
    add("ours, one layer x all rows", side_role::other, ours(capture_plan{{all[all.size() / 2]}}));
    add("ours, all layers x last row", side_role::other,
        ours(capture_plan{all, token_scope::last_prompt_and_generated}));
    add("ours, all layers x all rows", side_role::in_place, ours(capture_plan{all}));
    add("ours, the same as float16", side_role::other, ours(capture_plan{all, token_scope::all, element_type::f16}));
    add("cb_eval copy, all layers x all rows", side_role::reference,
        [=] { return std::make_unique<callback_side>(source, options, capacity); });
    if (layer_inputs) {
        add("llama.cpp's layer inputs, all layers", side_role::other,
            [=] { return std::make_unique<layer_input_side>(source, options); });
    }
    return kinds;
}

}  // namespace llama_steer::bench
