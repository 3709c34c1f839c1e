#pragma once

#include "steering/steering_plan.h"

#include <cstdint>
#include <map>
#include <memory>
#include <tuple>
#include <vector>

struct ggml_backend_buffer;
struct ggml_backend_buffer_type;
struct ggml_context;
struct ggml_tensor;

namespace llama_steer {

/// The directions that plain sums add at the layers of one site, in the memory of the device those layers lie on. They
/// stay there from pass to pass and from graph to graph; what is new is uploaded when it is first used. Decoding thread
/// only.
class device_directions {
public:
    /// Room for `capacity` direction sets at `layers` (ascending), zero at first, in memory of `type`. Throws
    /// OUT_OF_MEMORY.
    device_directions(ggml_backend_buffer_type * type, int64_t width, int64_t capacity, std::vector<int> layers);
    ~device_directions();
    device_directions(const device_directions &) = delete;
    device_directions & operator=(const device_directions &) = delete;

    /// [width, capacity, layers] float32.
    ggml_tensor * tensor() const { return tensor_; }
    const std::vector<int> & layers() const { return layers_; }
    int64_t capacity() const { return capacity_; }

    /// Uploads the sets of `plan` that are not there, in place of such as are no longer in it. `plan` has no more than
    /// `capacity`. Returns true if it uploaded any.
    bool update(const steering_plan & plan);
    /// Where a set of the plan lies: 0 to capacity - 1. Equal sets share a place.
    int32_t slot_of(const direction_set & set) const { return slots_.at(set.hash()); }

private:
    void upload(const direction_set & set, int32_t slot);

    int64_t width_;
    int64_t capacity_;
    std::vector<int> layers_;
    std::unique_ptr<ggml_context, void (*)(ggml_context *)> context_;
    std::unique_ptr<ggml_backend_buffer, void (*)(ggml_backend_buffer *)> buffer_;
    ggml_tensor * tensor_;
    std::map<uint64_t, int32_t> slots_;  ///< by the contents of a set
};

/// What the graphs of one context keep on devices. Decoding thread only.
class direction_store {
public:
    /// Directions as asked for: those that were made before where they fit, else new ones in their place.
    std::shared_ptr<device_directions> at(int32_t site, ggml_backend_buffer_type * type, int64_t width,
                                          int64_t capacity, const std::vector<int> & layers);
    /// Frees what no graph uses.
    void release_unused();

private:
    using key = std::tuple<int32_t, ggml_backend_buffer_type *, int64_t>;
    std::map<key, std::shared_ptr<device_directions>> made_;
};

}  // namespace llama_steer
