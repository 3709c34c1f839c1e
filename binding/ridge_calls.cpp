#include "ridge_calls.h"

#include "errors.h"
#include "ridge/blas.h"
#include "ridge/moments_accumulator.h"
#include "ridge/ridge_solver.h"
#include "ridge_arguments.h"
#include "task.h"

#include <atomic>
#include <memory>

namespace llama_steer {

namespace {

/// Refuses features that would not fit beside the fit before they are copied. What is wrong with the problem otherwise
/// is for the solver to say.
void check_copy(const ridge::ridge_problem & problem, const ridge::ridge_options & options) {
    const size_t active = ridge::active_rows(problem);
    if (options.copied_bytes == 0 || options.memory_limit == 0 || active == 0 || problem.features.cols == 0) {
        return;
    }
    ridge::check_memory(ridge::ridge_bytes(active, problem.features.cols, problem.target_count, options),
                        options.memory_limit);
}

}  // namespace

Napi::Value solve_ridge_call(const Napi::CallbackInfo & info) {
    const Napi::Env env = info.Env();
    return guarded(env, [&]() -> Napi::Value {
        const Napi::Object given = object_argument(info[0], "options");
        ridge::ridge_options options = ridge_options_argument(given);
        const auto rows =
            std::make_shared<ridge_rows_argument>(given, [&](const ridge::ridge_problem & problem, size_t copied) {
                options.copied_bytes = copied;
                check_copy(problem, options);
            });
        rows->problem.intercept = boolean_argument(given.Get("intercept"), "intercept");
        check_progress(info[1]);

        instance & self = instance::of(env);
        const dispatcher::ticket id = self.events.begin(env, {info[1], given.Get("features")});
        auto cancelled = std::make_shared<std::atomic<bool>>(false);
        self.run_in_background(id, cancelled, [rows, options, &self, id, cancelled]() -> instance::finisher {
            ridge::ridge_options watched = options;
            watched.aborted = [cancelled] { return cancelled->load(); };
            watched.progress = [&self, id](double fraction) { report_progress(self, id, fraction); };
            const auto solved =
                std::make_shared<std::vector<ridge::ridge_solution>>(ridge::solve_ridge(rows->problem, watched));
            return [solved](Napi::Env current) { return ridge_result(current, *solved); };
        });
        return make_task(env, id, [cancelled] { cancelled->store(true); });
    });
}

Napi::Value ridge_bytes_call(const Napi::CallbackInfo & info) {
    return guarded(info.Env(), [&]() -> Napi::Value {
        constexpr auto most = static_cast<int64_t>(ridge::largest_width);
        const auto rows = static_cast<size_t>(integer_argument(info[0], "rows", 1, most));
        const auto width = static_cast<size_t>(integer_argument(info[1], "width", 1, most));
        const auto targets = static_cast<size_t>(integer_argument(info[2], "targetCount", 1, most));
        ridge::ridge_options options = ridge_options_argument(object_argument(info[3], "options"));
        options.copied_bytes = static_cast<size_t>(integer_argument(info[4], "copiedBytes", 0, (int64_t(1) << 53) - 1));
        return Napi::Number::New(info.Env(), static_cast<double>(ridge::ridge_bytes(rows, width, targets, options)));
    });
}

Napi::Value ridge_threads_call(const Napi::CallbackInfo & info) {
    return guarded(info.Env(), [&]() -> Napi::Value {
        if (!info[0].IsUndefined()) {
            ridge::set_threads(static_cast<size_t>(integer_argument(info[0], "count", 0, 1024)));
        }
        return Napi::Number::New(info.Env(), static_cast<double>(ridge::threads()));
    });
}

}  // namespace llama_steer
