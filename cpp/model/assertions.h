#pragma once

namespace llama_steer {

/// While it lives, a failed GGML_ASSERT on this thread throws std::runtime_error instead of aborting the process.
/// Upstream asserts what a model file says in many places, while loading and while making a context; it catches the
/// exception there and reports a failure.
class assertions_throw {
public:
    assertions_throw();
    ~assertions_throw();
    assertions_throw(const assertions_throw &) = delete;
    assertions_throw & operator=(const assertions_throw &) = delete;

private:
    bool outer_;
};

}  // namespace llama_steer
