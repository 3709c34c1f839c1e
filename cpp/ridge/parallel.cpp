#include "parallel.h"

#include <algorithm>
#include <exception>
#include <system_error>
#include <thread>
#include <vector>

namespace llama_steer::ridge {

std::size_t hardware_threads() noexcept { return std::max(1u, std::thread::hardware_concurrency()); }

void run_parallel(std::size_t count, const std::function<void(std::size_t)> & body) {
    if (count == 0) return;
    if (count == 1) return body(0);

    std::vector<std::exception_ptr> errors(count);
    const auto guarded = [&](std::size_t i) noexcept {
        try {
            body(i);
        } catch (...) {
            errors[i] = std::current_exception();
        }
    };
    std::vector<std::thread> others;
    others.reserve(count - 1);
    std::size_t started = 1;
    try {
        for (; started < count; started++) others.emplace_back(guarded, started);
    } catch (const std::system_error &) {
    }
    guarded(0);
    for (std::size_t i = started; i < count; i++) guarded(i);
    for (auto & thread : others) thread.join();
    for (const auto & e : errors) {
        if (e) std::rethrow_exception(e);
    }
}

}  // namespace llama_steer::ridge
