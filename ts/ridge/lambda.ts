import { checkBoolean, checkOneOf, describe } from "../check.js";
import type { NativeRidgeOptions } from "../native.js";
import { SteerError } from "../steer-error.js";

const units = ["relative", "absolute"] as const;
/** In the order of the native side's codes, which the two units come before. */
const choices = ["loo", "oas", "ledoit-wolf"] as const;
const precisions = ["f64", "f32", "auto"] as const;
const methods = ["auto", "matrix"] as const;

/**
 * A number, or how the data choose one: `"loo"` the least leave-one-out error, `"oas"` and `"ledoit-wolf"` the shrinkage
 * of the covariance by those estimators, as λ = s / (1 - s) relative.
 */
export type RidgeLambda = number | (typeof choices)[number];

/** What every ridge fit can be asked for. */
export interface RidgeFitOptions {
    /**
     * What a number as lambda counts in: `"relative"` (default) to the mean eigenvalue tr(G)/d of the weighted, centred
     * Gram matrix, so that 1 doubles it; `"absolute"` as scikit-learn's `alpha`.
     */
    lambdaUnit?: (typeof units)[number];
    /** Whether an unpenalised intercept is fitted. Default true. */
    intercept?: boolean;
    /**
     * Whether degrees of freedom and, where rows are at hand, the leave-one-out error are computed. Default true; that is
     * about as much work again as the fit.
     */
    diagnostics?: boolean;
    /**
     * Bytes that the fit may take beside its inputs, copies of features that do not lie in shared memory counted; more
     * are refused with OUT_OF_MEMORY before it starts.
     */
    memoryLimit?: number;
    signal?: AbortSignal;
}

/** What fits from rows can be asked for beside. */
export interface RidgeRowFitOptions extends RidgeFitOptions {
    /**
     * Of a factorization: `"f64"`, or `"f32"`, half the memory and about half the time, refined to the accuracy of
     * float64; where that does not converge the fit is made in float64, and a process warning says so. `"auto"` (default)
     * is `"f32"` where it is bound to converge and no diagnostics are asked for.
     */
    precision?: (typeof precisions)[number];
    /**
     * `"auto"` (default) solves for up to three targets without `diagnostics`, where that is expected to be faster, by products
     * with the rows, proven to 1e-10. `"matrix"` always forms the matrix and factors it.
     */
    method?: (typeof methods)[number];
    /** Whether residuals are computed. Default false. */
    residuals?: boolean;
}

/**
 * The native side's options for one lambda or a list.
 *
 * @throws SteerError INVALID_ARGUMENT
 */
export function nativeFitOptions(
    lambda: unknown,
    options: RidgeRowFitOptions,
    list: boolean,
): NativeRidgeOptions & { intercept: boolean } {
    const { lambdaUnit = "relative", intercept = true, diagnostics = true, memoryLimit = 0 } = options;
    const { precision = "auto", method = "auto", residuals = false } = options;
    checkOneOf(lambdaUnit, units, "lambdaUnit");
    checkOneOf(precision, precisions, "precision");
    checkOneOf(method, methods, "method");
    checkBoolean(intercept, "intercept");
    checkBoolean(diagnostics, "diagnostics");
    checkBoolean(residuals, "residuals");
    const lambdas = list ? listOf(lambda) : oneOf(lambda);
    return {
        choice: typeof lambda === "string" ? 2 + choices.indexOf(lambda as never) : lambdaUnit === "relative" ? 1 : 0,
        lambdas: Float64Array.from(lambdas),
        precision: precisions.indexOf(precision),
        method: methods.indexOf(method),
        residuals,
        diagnostics,
        memoryLimit,
        intercept,
    };
}

function oneOf(lambda: unknown): number[] {
    if (typeof lambda === "number") {
        return [lambda];
    }
    if (!choices.includes(lambda as never)) {
        throw new SteerError(
            "INVALID_ARGUMENT",
            `lambda must be a number, "loo", "oas" or "ledoit-wolf", not ${describe(lambda)}; for a list use ridgePath`,
        );
    }
    return [];
}

function listOf(lambdas: unknown): number[] {
    const list = Array.isArray(lambdas) || lambdas instanceof Float64Array ? [...lambdas] : [];
    if (list.length === 0 || list.some((each) => typeof each !== "number")) {
        throw new SteerError(
            "INVALID_ARGUMENT",
            `lambdas must be a list of one or more numbers, not ${describe(lambdas)}`,
        );
    }
    return list;
}
