#pragma once

#include "elements_argument.h"
#include "ridge/ridge_problem.h"

#include <napi.h>

#include <functional>
#include <memory>
#include <vector>

namespace llama_steer {

/// Rows with their targets and weights as the solver's thread reads them. Features in shared memory are borrowed, so
/// that their owner must be kept; all else is copied. Not to be copied or moved: `problem` points into it.
struct ridge_rows_argument {
    /// Told of `problem`, all of it but the features' memory, and of the bytes of features that are to be copied,
    /// before they are.
    using copy_check = std::function<void(const ridge::ridge_problem &, size_t)>;

    /// From { features, rows, width, stride, targets, weights? }. Throws INVALID_ARGUMENT, BUFFER_DETACHED,
    /// WIDTH_MISMATCH where lengths do not fit each other, and what `may_copy` throws.
    explicit ridge_rows_argument(const Napi::Object & options, const copy_check & may_copy = {});
    ridge_rows_argument(const ridge_rows_argument &) = delete;
    ridge_rows_argument & operator=(const ridge_rows_argument &) = delete;

    ridge::ridge_problem problem;

private:
    void take_shape(const Napi::Object & options, const elements_argument & features);

    std::vector<double> targets_, weights_;
    elements_argument features_;
};

/// The numbers of a Float32Array or a Float64Array, copied.
std::vector<double> numbers_argument(const Napi::Value & value, const char * name);

/// Gives `problem`, whose rows are known, its targets, and the `weights` of the options where there are any. Throws
/// WIDTH_MISMATCH.
void take_targets(const Napi::Object & options, const std::vector<double> & targets, std::vector<double> & weights,
                  ridge::ridge_problem & problem);

/// From { choice, lambdas, precision, method, residuals, diagnostics, memoryLimit }; see ts/ridge/lambda.ts for the
/// codes.
ridge::ridge_options ridge_options_argument(const Napi::Object & options);

/// NativeRidgeSolution[] of ts/native.ts, and a notice: { solutions, notice }.
Napi::Value ridge_result(Napi::Env env, const std::vector<ridge::ridge_solution> & solutions);

}  // namespace llama_steer
