#include "live_strengths_call.h"

#include <chrono>
#include <condition_variable>
#include <memory>
#include <mutex>

namespace llama_steer {

namespace {

/// How soon an interruption is noticed while the JavaScript thread has not answered.
constexpr std::chrono::milliseconds patience{20};

/// One question under way. Shared: the asking thread may have left when the answer comes.
struct question {
    std::mutex mutex;
    std::condition_variable answered;
    bool done = false;
    std::vector<double> answers;
};

}  // namespace

live_source make_live_source(
    dispatcher & events,
    std::function<std::vector<double>(Napi::Env env, const std::vector<live_request> & requests)> call) {
    return [&events, call = std::move(call)](const std::vector<live_request> & requests,
                                             const std::function<bool()> & interrupted) {
        auto asked = std::make_shared<question>();
        events.post([asked, call, requests](Napi::Env env) {
            std::vector<double> answers = call(env, requests);
            const std::lock_guard<std::mutex> lock(asked->mutex);
            asked->answers = std::move(answers);
            asked->done = true;
            asked->answered.notify_one();
        });
        std::unique_lock<std::mutex> lock(asked->mutex);
        while (!asked->done && !interrupted()) {
            asked->answered.wait_for(lock, patience);
        }
        return asked->answers;
    };
}

std::vector<double> call_live_function(Napi::Env env, const Napi::Function & function,
                                       const std::vector<live_request> & requests) {
    Napi::Array asked = Napi::Array::New(env, requests.size());
    for (uint32_t i = 0; i < requests.size(); ++i) {
        const live_request & source = requests[i];
        Napi::Object each = Napi::Object::New(env);
        each.Set("intervention", static_cast<double>(source.target->id()));
        each.Set("step", static_cast<double>(source.step));
        each.Set("position", source.position);
        each.Set("generated", source.generated);
        each.Set("token", source.token);
        asked.Set(i, each);
    }
    const Napi::Value answer = function.Call({asked});
    if (!answer.IsTypedArray() || answer.As<Napi::TypedArray>().TypedArrayType() != napi_float64_array) {
        return {};
    }
    const auto numbers = answer.As<Napi::Float64Array>();
    return {numbers.Data(), numbers.Data() + numbers.ElementLength()};
}

}  // namespace llama_steer
