#include "model/steering_fit.h"

#include "base/error.h"
#include "steering/site_id.h"

#include <string>

namespace llama_steer {

namespace {

const site_shape & shape_of(const model & source, int32_t site, int layer) {
    const std::string & name = name_of_site(site);
    const auto found = source.sites().find(name);
    if (found == source.sites().end()) {
        throw error(error_code::SITE_UNKNOWN, "this model has no site " + name + ": see model.sites()");
    }
    const auto shape = found->second.find(layer);
    if (shape == found->second.end()) {
        throw error(error_code::LAYER_OUT_OF_RANGE, "layer " + std::to_string(layer) + " has no site " + name);
    }
    return shape->second;
}

void check_width(const site_shape & shape, int64_t width, const std::string & place) {
    if (shape.width != width) {
        throw error(error_code::WIDTH_MISMATCH, "the vector is " + std::to_string(width) + " wide, a row of " + place +
                                                    " is " + std::to_string(shape.width));
    }
}

std::string place_of(int32_t site, int layer) { return name_of_site(site) + " at layer " + std::to_string(layer); }

void check_order(const site_shape & acts, const model & source, const condition_probe & probe,
                 const std::string & place) {
    const site_shape & measured = shape_of(source, probe.site, probe.layer);
    if (probe.latch == condition_latch::token && measured.order > acts.order) {
        throw error(error_code::INVALID_ARGUMENT,
                    "the condition is measured on " + place_of(probe.site, probe.layer) + ", which comes after " +
                        place +
                        ", where it would have to be known: restrict layers to later ones, measure earlier, or decide "
                        "it by the prompt (decide: \"last-prompt\")");
    }
}

}  // namespace

void check_fit(const model & source, const intervention & each) {
    const direction_set & set = each.directions();
    for (int layer = 0; layer < set.n_layers(); ++layer) {
        if (set.layer(layer) == nullptr) {
            continue;
        }
        const site_shape & shape = shape_of(source, each.site(), layer);
        check_width(shape, set.width(), place_of(each.site(), layer));
        if (each.when() != nullptr) {
            for (const condition_probe * probe : each.when()->probes()) {
                check_order(shape, source, *probe, place_of(each.site(), layer));
            }
        }
    }
    if (each.when() != nullptr) {
        for (const condition_probe * probe : each.when()->probes()) {
            check_width(shape_of(source, probe->site, probe->layer), probe->direction->width(),
                        place_of(probe->site, probe->layer));
        }
    }
}

}  // namespace llama_steer
