#include "ridge_arguments.h"

#include "arguments.h"
#include "errors.h"
#include "ridge/blas.h"
#include "ridge/moments_accumulator.h"

#include <algorithm>
#include <array>
#include <cmath>
#include <string>

namespace llama_steer {

namespace {

constexpr auto largest = static_cast<int64_t>(ridge::largest_width);

size_t count_argument(const Napi::Object & options, const char * name, int64_t least) {
    return static_cast<size_t>(integer_argument(options.Get(name), name, least, largest));
}

[[noreturn]] void misfit(const std::string & message) { throw error(error_code::WIDTH_MISMATCH, message); }

Napi::Value numbers(Napi::Env env, const std::vector<double> & values) {
    Napi::Float64Array out = Napi::Float64Array::New(env, values.size());
    std::copy(values.begin(), values.end(), out.Data());
    return out;
}

Napi::Value solution_object(Napi::Env env, const ridge::ridge_solution & source) {
    Napi::Object out = Napi::Object::New(env);
    out.Set("coefficients", numbers(env, source.coefficients));
    out.Set("intercept", numbers(env, source.intercept));
    if (!source.residuals.empty()) {
        out.Set("residuals", numbers(env, source.residuals));
    }
    out.Set("alpha", source.alpha);
    out.Set("lambda", source.relative_lambda);
    if (!std::isnan(source.shrinkage)) {
        out.Set("shrinkage", source.shrinkage);
    }
    if (!std::isnan(source.degrees_of_freedom)) {
        out.Set("degreesOfFreedom", source.degrees_of_freedom);
    }
    if (!source.loo_error.empty()) {
        out.Set("looError", numbers(env, source.loo_error));
    }
    out.Set("condition", source.condition);
    constexpr std::array<const char *, 3> solvers = {"cholesky", "tridiagonal", "lanczos"};
    out.Set("solver", solvers.at(static_cast<size_t>(source.solver)));
    out.Set("form", source.form == ridge::ridge_form::primal ? "primal" : "dual");
    out.Set("precision", source.precision == ridge::ridge_precision::f64 ? "f64" : "f32");
    out.Set("refinements", static_cast<double>(source.refinements));
    return out;
}

}  // namespace

std::vector<double> numbers_argument(const Napi::Value & value, const char * name) {
    const array_memory memory =
        array_argument(value, name, "a Float32Array or a Float64Array", {napi_float32_array, napi_float64_array});
    if (memory.length == 0) {
        return {};
    }
    if (memory.type == napi_float32_array) {
        const auto * begin = static_cast<const float *>(memory.data);
        return {begin, begin + memory.length};
    }
    const auto * begin = static_cast<const double *>(memory.data);
    return {begin, begin + memory.length};
}

void take_targets(const Napi::Object & options, const std::vector<double> & targets, std::vector<double> & weights,
                  ridge::ridge_problem & problem) {
    const size_t rows = problem.features.rows;
    if (rows == 0 ? !targets.empty() : targets.size() % rows != 0) {
        misfit("targets holds " + std::to_string(targets.size()) + " numbers, which are no whole number for each of " +
               std::to_string(rows) + " rows");
    }
    problem.targets = targets.data();
    problem.target_count = rows == 0 ? 0 : targets.size() / rows;
    if (options.Get("weights").IsUndefined()) {
        return;
    }
    weights = numbers_argument(options.Get("weights"), "weights");
    if (weights.size() != rows) {
        misfit("weights holds " + std::to_string(weights.size()) + " numbers for " + std::to_string(rows) + " rows");
    }
    problem.weights = weights.data();
}

ridge_rows_argument::ridge_rows_argument(const Napi::Object & options, const copy_check & may_copy)
    : targets_(numbers_argument(options.Get("targets"), "targets")),
      features_(options.Get("features"), "features", [&](const elements_argument & features, size_t copied) {
          take_shape(options, features);
          if (may_copy) {
              may_copy(problem, copied);
          }
      }) {
    problem.features.data = features_.data;
}

void ridge_rows_argument::take_shape(const Napi::Object & options, const elements_argument & features) {
    const size_t rows = count_argument(options, "rows", 0), width = count_argument(options, "width", 0);
    const size_t stride = count_argument(options, "stride", 0);
    const size_t needed = rows == 0 ? 0 : (rows - 1) * stride + width;
    if (features.length < needed) {
        misfit("features holds " + std::to_string(features.length) + " numbers; " + std::to_string(rows) + " rows of " +
               std::to_string(width) + " at a stride of " + std::to_string(stride) + " take " + std::to_string(needed));
    }
    if (rows == 0) {
        throw_invalid("features has no rows");
    }
    problem.features = {features.data, features.type, rows, width, stride, 0};
    take_targets(options, targets_, weights_, problem);
}

ridge::ridge_options ridge_options_argument(const Napi::Object & options) {
    ridge::ridge_options out;
    out.choice = static_cast<ridge::lambda_choice>(integer_argument(options.Get("choice"), "lambda", 0, 4));
    out.lambdas = numbers_argument(options.Get("lambdas"), "lambda");
    out.precision = static_cast<ridge::ridge_precision>(integer_argument(options.Get("precision"), "precision", 0, 2));
    out.method = static_cast<ridge::ridge_method>(integer_argument(options.Get("method"), "method", 0, 1));
    out.residuals = boolean_argument(options.Get("residuals"), "residuals");
    out.diagnostics = boolean_argument(options.Get("diagnostics"), "diagnostics");
    out.memory_limit =
        static_cast<size_t>(integer_argument(options.Get("memoryLimit"), "memoryLimit", 0, (int64_t(1) << 53) - 1));
    return out;
}

Napi::Value ridge_result(Napi::Env env, const std::vector<ridge::ridge_solution> & solutions) {
    Napi::Array list = Napi::Array::New(env, solutions.size());
    std::string notice = ridge::take_notice();
    for (uint32_t i = 0; i < solutions.size(); ++i) {
        list.Set(i, solution_object(env, solutions[i]));
        if (notice.empty()) {
            notice = solutions[i].notice;
        }
    }
    Napi::Object out = Napi::Object::New(env);
    out.Set("solutions", list);
    out.Set("notice", notice);
    return out;
}

}  // namespace llama_steer
