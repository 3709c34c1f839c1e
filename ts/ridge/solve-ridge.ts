import { emitNotice } from "../emit-notice.js";
import { native } from "../native.js";
import { runTask } from "../run-task.js";
import { nativeFitOptions, type RidgeLambda, type RidgeRowFitOptions } from "./lambda.js";
import { nativeRows, type RidgeRows } from "./ridge-rows.js";
import type { RidgeSolution } from "./ridge-solution.js";

interface Progress {
    /** Called with the fraction of the work done. */
    onProgress?: (fraction: number) => void;
}

export interface SolveRidgeOptions extends RidgeRows, RidgeRowFitOptions, Progress {
    lambda: RidgeLambda;
}

export interface RidgePathOptions extends RidgeRows, RidgeRowFitOptions, Progress {
    /** One or more, in any order. */
    lambdas: readonly number[] | Float64Array;
}

/**
 * Weighted ridge regression of k targets at once: minimises Σ w_i |y_i - x_i·b - a|² + alpha·|b|², on a thread of its
 * own, in the smaller of its two forms (d x d or rows x rows). See `docs/ridge.md`.
 *
 * @throws SteerError INVALID_ARGUMENT, WIDTH_MISMATCH, NOT_FINITE (with row and column), EMPTY_CLASS (all weights 0),
 * SINGULAR_MATRIX, OUT_OF_MEMORY, ABORTED, BUFFER_DETACHED
 */
export async function solveRidge(options: SolveRidgeOptions): Promise<RidgeSolution> {
    return (await solve(options, options?.lambda, false))[0] as RidgeSolution;
}

/**
 * The same for a list of lambdas, in its order. The rows are reduced once; ten lambdas or more then share one
 * tridiagonal reduction, or, without diagnostics, one Krylov space.
 *
 * @throws SteerError as {@link solveRidge}
 */
export async function ridgePath(options: RidgePathOptions): Promise<RidgeSolution[]> {
    return solve(options, options?.lambdas, true);
}

async function solve(
    options: RidgeRows & RidgeRowFitOptions & Progress,
    lambda: unknown,
    list: boolean,
): Promise<RidgeSolution[]> {
    const settings = { ...nativeRows(options), ...nativeFitOptions(lambda, options, list) };
    const { solutions, notice } = await runTask(() => native.solveRidge(settings, options.onProgress), options.signal);
    emitNotice(notice);
    return solutions;
}

/**
 * Bytes that a fit takes beside its inputs: what `memoryLimit` is held against. `rows`: those of positive weight;
 * `copiedBytes`: the `byteLength` of features that do not lie in shared memory, which are copied. Default 0.
 *
 * @throws SteerError INVALID_ARGUMENT, OUT_OF_MEMORY for more than any machine has
 */
export function ridgeBytes(
    options: RidgeRowFitOptions & {
        rows: number;
        width: number;
        targetCount?: number;
        lambda: RidgeLambda | readonly number[];
        copiedBytes?: number;
    },
): number {
    const { rows, width, targetCount = 1, lambda, copiedBytes = 0 } = options;
    const settings = nativeFitOptions(lambda, options, Array.isArray(lambda));
    return native.ridgeBytes(rows, width, targetCount, settings, copiedBytes);
}

/** The linear algebra in use, such as `"openblas 0.3.21"` or `"builtin"`. */
export function backend(): string {
    return native.ridgeBackend();
}
