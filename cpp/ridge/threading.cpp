#include "blas.h"

#include "parallel.h"
#include "vendor.h"

#include <algorithm>
#include <atomic>
#include <mutex>

namespace llama_steer::ridge {

namespace {

struct setting {
    std::mutex lock;
    std::size_t initial =
        std::max<std::size_t>(1, vendor::default_threads() ? vendor::default_threads() : hardware_threads());
    std::size_t wanted = initial;
    std::size_t serial = 0;
    std::atomic<std::size_t> current{initial};

    void apply() {
        const std::size_t next = serial ? 1 : wanted;
        if (current.exchange(next) != next) vendor::apply_threads(next);
    }
};

setting & process_setting() {
    static setting only;
    return only;
}

}  // namespace

void set_threads(std::size_t count) {
    constexpr std::size_t most = 1024;
    auto & s = process_setting();
    std::lock_guard<std::mutex> guard(s.lock);
    s.wanted = count ? std::min(count, most) : s.initial;
    s.apply();
}

std::size_t threads() { return process_setting().current; }

serial_kernels::serial_kernels() {
    auto & s = process_setting();
    std::lock_guard<std::mutex> guard(s.lock);
    s.serial++;
    s.apply();
}

serial_kernels::~serial_kernels() {
    auto & s = process_setting();
    std::lock_guard<std::mutex> guard(s.lock);
    s.serial--;
    s.apply();
}

std::string backend() { return vendor::name(); }

std::string backend_detail() {
    const std::size_t count = threads();
    return vendor::detail() + ", " + std::to_string(count) + (count == 1 ? " thread" : " threads");
}

std::string take_notice() {
    static std::atomic<bool> taken{false};
    return taken.exchange(true) ? "" : vendor::notice();
}

}  // namespace llama_steer::ridge
