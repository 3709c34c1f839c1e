#pragma once

#include "elements_argument.h"
#include "ridge/ridge_problem.h"

#include <napi.h>

#include <memory>
#include <vector>

namespace llama_steer {

/// Rows with their targets and weights as the solver's thread reads them. Features in shared memory are borrowed, so
/// that their owner must be kept; all else is copied. Not to be copied or moved: `problem` points into it.
struct ridge_rows_argument {
    /// From { features, rows, width, stride, targets, weights? }. Throws INVALID_ARGUMENT, BUFFER_DETACHED, and
    /// WIDTH_MISMATCH where lengths do not fit each other.
    explicit ridge_rows_argument(const Napi::Object & options);
    ridge_rows_argument(const ridge_rows_argument &) = delete;
    ridge_rows_argument & operator=(const ridge_rows_argument &) = delete;

    ridge::ridge_problem problem;

private:
    elements_argument features_;
    std::vector<double> targets_, weights_;
};

/// The numbers of a Float32Array or a Float64Array, copied.
std::vector<double> numbers_argument(const Napi::Value & value, const char * name);

/// From { choice, lambdas, precision, residuals, diagnostics, memoryLimit }; see ts/ridge/lambda.ts for the codes.
ridge::ridge_options ridge_options_argument(const Napi::Object & options);

/// NativeRidgeSolution[] of ts/native.ts, and a notice: { solutions, notice }.
Napi::Value ridge_result(Napi::Env env, const std::vector<ridge::ridge_solution> & solutions);

}  // namespace llama_steer
