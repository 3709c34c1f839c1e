// A device that computes on the host, but has memory of its own that the host may not touch: llama.cpp puts layers on
// it and copies to and from it as with a GPU. It says what it was made to do.
#pragma once

#include <ggml-backend-impl.h>
#include <ggml-backend.h>
#include <ggml-cpu.h>
#include <ggml-impl.h>

#include <cstring>
#include <string>
#include <vector>

namespace llama_steer::testbed {

/// What the fake device did since it was asked for the last time.
struct device_work {
    int graphs = 0;         ///< computed: one for every piece of the model's graph that lies on the device
    int uploads = 0;        ///< of tensors or parts of them
    size_t bytes = 0;       ///< in these
    int fused_sums = 0;     ///< ADD nodes named "steered" that CUDA computes with the ADD before them
    int separate_sums = 0;  ///< other ADD nodes named "steered"
};

/// The one fake device of the process. It is not registered: a model lies on it only if it is asked to.
class fake_device {
public:
    static ggml_backend_dev_t device() { return &instance().device_; }

    static device_work take_work() {
        const device_work taken = instance().work_;
        instance().work_ = {};
        return taken;
    }

private:
    fake_device() {
        memory_.iface = {[](ggml_backend_buffer_type_t) { return "fake memory"; },
                         alloc,
                         [](ggml_backend_buffer_type_t) { return size_t{64}; },
                         nullptr,
                         nullptr,
                         [](ggml_backend_buffer_type_t) { return false; }};
        memory_.device = &device_;
        registry_.api_version = GGML_BACKEND_API_VERSION;
        registry_.iface = {[](ggml_backend_reg_t) { return "fake"; }, [](ggml_backend_reg_t) { return size_t{1}; },
                           [](ggml_backend_reg_t, size_t) { return device(); },
                           [](ggml_backend_reg_t, const char *) -> void * { return nullptr; }};
        device_.reg = &registry_;
        ggml_backend_device_i & does = device_.iface;
        does.get_name = [](ggml_backend_dev_t) { return "fake"; };
        does.get_description = [](ggml_backend_dev_t) { return "the host behind a curtain"; };
        does.get_memory = [](ggml_backend_dev_t, size_t * free, size_t * total) { *free = *total = size_t{1} << 33; };
        does.get_type = [](ggml_backend_dev_t) { return GGML_BACKEND_DEVICE_TYPE_GPU; };
        does.get_props = [](ggml_backend_dev_t, ggml_backend_dev_props * properties) {
            *properties = {};
            properties->name = "fake";
            properties->description = "the host behind a curtain";
            properties->type = GGML_BACKEND_DEVICE_TYPE_GPU;
            properties->memory_free = properties->memory_total = size_t{1} << 33;
        };
        does.init_backend = init;
        does.get_buffer_type = [](ggml_backend_dev_t) { return &instance().memory_; };
        does.supports_op = [](ggml_backend_dev_t, const ggml_tensor * op) {
            const bool custom = op->op >= GGML_OP_MAP_CUSTOM1 && op->op <= GGML_OP_CUSTOM;
            return !custom && ggml_backend_dev_supports_op(host(), op);
        };
        does.supports_buft = [](ggml_backend_dev_t, ggml_backend_buffer_type_t type) {
            return type == &instance().memory_;
        };
    }

    static fake_device & instance() {
        static fake_device only;
        return only;
    }
    static ggml_backend_dev_t host() { return ggml_backend_dev_by_type(GGML_BACKEND_DEVICE_TYPE_CPU); }

    static ggml_backend_buffer_t alloc(ggml_backend_buffer_type_t type, size_t size) {
        ggml_backend_buffer_t made = ggml_backend_buft_alloc_buffer(ggml_backend_cpu_buffer_type(), size);
        if (made != nullptr) {
            made->buft = type;
            made->iface.set_tensor = set_tensor;
            made->iface.cpy_tensor = nullptr;
        }
        return made;
    }
    static void set_tensor(ggml_backend_buffer_t, ggml_tensor * tensor, const void * data, size_t offset, size_t size) {
        std::memcpy(static_cast<char *>(tensor->data) + offset, data, size);
        ++instance().work_.uploads;
        instance().work_.bytes += size;
    }

    static ggml_backend_t init(ggml_backend_dev_t self, const char *) {
        ggml_backend_i does{};
        does.get_name = [](ggml_backend_t) { return "fake"; };
        does.free = [](ggml_backend_t backend) {
            ggml_backend_free(static_cast<ggml_backend_t>(backend->context));
            delete backend;
        };
        does.graph_compute = compute;
        static ggml_guid id = {0x66, 0x61, 0x6b, 0x65};
        const ggml_backend_t inner = ggml_backend_cpu_init();
        ggml_backend_cpu_set_n_threads(inner, 1);
        return new ggml_backend{&id, does, self, inner};
    }
    static ggml_status compute(ggml_backend_t backend, ggml_cgraph * graph) {
        ++instance().work_.graphs;
        for (int i = 0; i < ggml_graph_n_nodes(graph); ++i) {
            count(graph, i);
        }
        return ggml_backend_graph_compute(static_cast<ggml_backend_t>(backend->context), graph);
    }

    /// The conditions under which ggml's CUDA backend computes an ADD in one kernel with the ADD before it.
    static void count(const ggml_cgraph * graph, int i) {
        const ggml_tensor * node = graph->nodes[i];
        if (node->op != GGML_OP_ADD || std::string(node->name).rfind("steered", 0) != 0) {
            return;
        }
        const ggml_op chain[] = {GGML_OP_ADD, GGML_OP_ADD};
        const bool fused = i > 0 && ggml_can_fuse(graph, i - 1, chain, 2) && graph->nodes[i - 1] == node->src[0] &&
                           ggml_are_same_layout(graph->nodes[i - 1]->src[1], node->src[1]);
        ++(fused ? instance().work_.fused_sums : instance().work_.separate_sums);
    }

    ggml_backend_buffer_type memory_{};
    ggml_backend_device device_{};
    ggml_backend_reg registry_{};
    device_work work_;
};

}  // namespace llama_steer::testbed
