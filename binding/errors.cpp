#include "errors.h"

#include "instance.h"

#include <new>

namespace llama_steer {

namespace {

std::pair<error_code, std::string> describe(const std::exception_ptr & failure) {
    try {
        std::rethrow_exception(failure);
    } catch (const error & known) {
        return {known.code(), known.what()};
    } catch (const std::bad_alloc &) {
        return {error_code::OUT_OF_MEMORY, "out of memory"};
    } catch (const std::exception & unknown) {
        return {error_code::INTERNAL, unknown.what()};
    } catch (...) {
        return {error_code::INTERNAL, "unknown native failure"};
    }
}

}  // namespace

Napi::Value to_javascript(Napi::Env env, const std::exception_ptr & failure) {
    const auto [code, message] = describe(failure);
    return instance::of(env).error_class.New(
        {Napi::String::New(env, error_code_name(code)), Napi::String::New(env, message)});
}

}  // namespace llama_steer
