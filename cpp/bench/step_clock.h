#pragma once

#include <chrono>
#include <ctime>

namespace llama_steer::bench {

/// What steps are timed with.
enum class step_clock {
    wall,
    thread,  ///< CPU time of the calling thread: what other processes take of its core does not count
};

/// Threads' CPU time is of use where one thread does all the work, and where the system measures it finely.
inline step_clock finest_clock(bool one_thread) {
#ifdef CLOCK_THREAD_CPUTIME_ID
    return one_thread ? step_clock::thread : step_clock::wall;
#else
    return step_clock::wall;
#endif
}

inline double milliseconds(step_clock clock) {
#ifdef CLOCK_THREAD_CPUTIME_ID
    timespec time{};
    if (clock == step_clock::thread && clock_gettime(CLOCK_THREAD_CPUTIME_ID, &time) == 0) {
        return static_cast<double>(time.tv_sec) * 1e3 + static_cast<double>(time.tv_nsec) * 1e-6;
    }
#endif
    return std::chrono::duration<double, std::milli>(std::chrono::steady_clock::now().time_since_epoch()).count();
}

}  // namespace llama_steer::bench
