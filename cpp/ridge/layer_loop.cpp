#include "layer_loop.h"

#include "blas.h"
#include "parallel.h"

#include <algorithm>
#include <atomic>
#include <exception>
#include <optional>
#include <string>
#include <vector>

namespace llama_steer::ridge {

namespace {

constexpr std::size_t narrow = 512;

}  // namespace

std::size_t layer_workers(std::size_t layers, std::size_t width) {
    return width <= narrow ? std::max<std::size_t>(1, std::min(threads(), layers)) : 1;
}

void for_each_layer(std::size_t layers, std::size_t workers,
                    const std::function<void(std::size_t layer, std::size_t worker)> & body) {
    std::vector<std::exception_ptr> errors(layers);
    std::atomic<std::size_t> next{0};
    std::atomic<bool> failed{false};
    std::optional<serial_kernels> serial;
    if (workers > 1) serial.emplace();
    run_parallel(workers, [&](std::size_t worker) {
        for (std::size_t l; !failed && (l = next++) < layers;) {
            try {
                body(l, worker);
            } catch (...) {
                errors[l] = std::current_exception();
                failed = true;
            }
        }
    });
    for (const auto & e : errors) {
        if (e) std::rethrow_exception(e);
    }
}

error in_layer(const error & e, std::size_t number) {
    return error(e.code(), "layer " + std::to_string(number) + ": " + e.what());
}

}  // namespace llama_steer::ridge
