import { checkObject, describe } from "../check.js";
import { emitNotice } from "../emit-notice.js";
import { MomentsAccumulator } from "../moments-accumulator.js";
import { type NativeRidgeAccumulator, type NativeRidgeResult, type NativeTask, native } from "../native.js";
import { runTask } from "../run-task.js";
import { SteerError } from "../steer-error.js";
import { nativeFitOptions, type RidgeFitOptions, type RidgeLambda } from "./lambda.js";
import { nativeRows, type RidgeRows } from "./ridge-rows.js";
import type { RidgeSolution } from "./ridge-solution.js";

export interface RidgeAccumulatorOptions {
    /** Features of a row: d. */
    width: number;
    /** Targets of a row: k. Default 1. */
    targetCount?: number;
    /** Bytes it may take: 8·(d + k)² are needed. */
    memoryLimit?: number;
}

export interface AccumulatedRidgeOptions extends RidgeFitOptions {
    /** A number or `"oas"`: the other choices need the rows. */
    lambda: Exclude<RidgeLambda, "loo" | "ledoit-wolf">;
}

/**
 * Ridge regression of rows that come in parts, in any order, and are not kept: more than memory holds, or those of
 * several threads, {@link merge}d. Solving leaves it as it is, so that more rows may follow.
 *
 * What is added or solved is done one after the other, in call order, on a thread of its own; meanwhile `count`,
 * `weight`, `addMoments` and `merge` are refused with INVALID_ARGUMENT. Any method throws DISPOSED after
 * {@link dispose}.
 */
export class RidgeAccumulator {
    readonly #native: NativeRidgeAccumulator;
    readonly width: number;
    readonly targetCount: number;

    /** @throws SteerError INVALID_ARGUMENT, OUT_OF_MEMORY with the memory needed */
    constructor(options: RidgeAccumulatorOptions) {
        checkObject(options, "options");
        const { width, targetCount = 1, memoryLimit = 0 } = options;
        this.#native = native.createRidgeAccumulator({ width, targetCount, memoryLimit });
        this.width = width;
        this.targetCount = targetCount;
    }

    /**
     * Adds rows; all or nothing.
     *
     * @throws SteerError INVALID_ARGUMENT, WIDTH_MISMATCH, NOT_FINITE, OUT_OF_MEMORY, ABORTED, DISPOSED
     */
    async add(rows: RidgeRows & { signal?: AbortSignal }): Promise<void> {
        const settings = nativeRows(rows);
        await this.#run(() => this.#native.add(settings), rows.signal);
    }

    /**
     * Adds the rows that one layer and group of moments has seen, all of them with the same `targets` ([k], a number for
     * k = 1): how classes are fitted without their rows.
     *
     * @throws SteerError WIDTH_MISMATCH, EMPTY_CLASS, NOT_FINITE, LAYER_OUT_OF_RANGE, INVALID_ARGUMENT, DISPOSED
     */
    addMoments(moments: MomentsAccumulator, layer: number, group: number, targets: number | Float64Array): void {
        if (!(moments instanceof MomentsAccumulator)) {
            throw new SteerError("INVALID_ARGUMENT", `moments must be a MomentsAccumulator, not ${describe(moments)}`);
        }
        const [source, slot] = MomentsAccumulator.nativeOf(moments, layer);
        const values = typeof targets === "number" ? Float64Array.of(targets) : targets;
        this.#native.addMoments(source, slot, group, values);
    }

    /** Adds all that another of the same widths has seen. @throws SteerError WIDTH_MISMATCH, INVALID_ARGUMENT */
    merge(other: RidgeAccumulator): void {
        if (!(other instanceof RidgeAccumulator)) {
            throw new SteerError("INVALID_ARGUMENT", `other must be a RidgeAccumulator, not ${describe(other)}`);
        }
        this.#native.merge(other.#native);
    }

    /** Rows of positive weight. */
    get count(): number {
        return this.#native.count().count;
    }

    /** Sum of the weights. */
    get weight(): number {
        return this.#native.count().weight;
    }

    /**
     * Fits what was added. No residuals and no leave-one-out error: they need the rows.
     *
     * @throws SteerError EMPTY_CLASS (no rows), SINGULAR_MATRIX, OUT_OF_MEMORY, INVALID_ARGUMENT, ABORTED, DISPOSED
     */
    async solve(options: AccumulatedRidgeOptions): Promise<RidgeSolution> {
        checkObject(options, "options");
        return (await this.#solve(options.lambda, options, false))[0] as RidgeSolution;
    }

    /** The same for a list of lambdas, in its order. @throws SteerError as {@link solve} */
    async path(options: RidgeFitOptions & { lambdas: readonly number[] | Float64Array }): Promise<RidgeSolution[]> {
        checkObject(options, "options");
        return this.#solve(options.lambdas, options, true);
    }

    /** Frees the memory, at once or when what runs has ended; what waits or runs is rejected with DISPOSED. */
    dispose(): void {
        this.#native.dispose();
    }

    [Symbol.dispose](): void {
        this.dispose();
    }

    #solve(lambda: unknown, options: RidgeFitOptions, list: boolean): Promise<RidgeSolution[]> {
        const settings = nativeFitOptions(lambda, options, list);
        return this.#run(() => this.#native.solve(settings), options.signal);
    }

    async #run(start: () => NativeTask<NativeRidgeResult>, signal: AbortSignal | undefined): Promise<RidgeSolution[]> {
        const { solutions, notice } = await runTask(start, signal);
        emitNotice(notice);
        return solutions;
    }
}
