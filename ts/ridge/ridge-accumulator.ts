import type { Activations } from "../activations.js";
import type { CaptureFile } from "../capture-file.js";
import { checkObject, describe } from "../check.js";
import { emitNotice } from "../emit-notice.js";
import { MomentsAccumulator } from "../moments-accumulator.js";
import { type NativeRidgeAccumulator, native } from "../native.js";
import { runTask } from "../run-task.js";
import { SteerError } from "../steer-error.js";
import { nativeFitOptions, type RidgeFitOptions, type RidgeLambda } from "./lambda.js";
import type { RidgeRows } from "./ridge-rows.js";
import type { RidgeSolution } from "./ridge-solution.js";
import {
    type AddRidgeFileOptions,
    type AddRidgeRowsOptions,
    type RidgeSource,
    type RidgeWatch,
    startAdding,
} from "./ridge-source.js";

export interface RidgeAccumulatorOptions {
    /** Features of a row: d. */
    width: number;
    /** Targets of a row: k. Default 1. */
    targetCount?: number;
    /** Bytes it may take: 8·(d + k)² are needed. */
    memoryLimit?: number;
}

export interface AccumulatedRidgeOptions extends RidgeFitOptions, RidgeWatch {
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
     * Adds rows; all or nothing. Takes another 8·(d + k)² bytes meanwhile.
     *
     * @throws SteerError INVALID_ARGUMENT, WIDTH_MISMATCH, NOT_FINITE, OUT_OF_MEMORY, ABORTED, DISPOSED, BUFFER_DETACHED
     */
    async add(rows: RidgeRows & RidgeWatch): Promise<void>;
    /**
     * Adds the rows of one layer of a capture. Shared memory, as captures have by default, is read where it is, and the next
     * evaluation of a live {@link Capture} waits for that.
     *
     * @throws SteerError LAYER_OUT_OF_RANGE, and as above
     */
    async add(activations: Activations, options: AddRidgeRowsOptions): Promise<void>;
    /**
     * Adds rows of one layer of a capture file from the disk, however large it is: they are read where the system maps them,
     * never pass through JavaScript, and each is checked against its checksum before it counts. `file` may be disposed of
     * meanwhile. More than a piece of 32 MB or 512 rows takes as much memory again as the accumulator has.
     *
     * @throws SteerError DATA_DAMAGED (the message names shard, layer and row), FILE_UNREADABLE, and as above; rows are
     * called by their number in the file
     */
    async add(file: CaptureFile, options: AddRidgeFileOptions): Promise<void>;
    async add(source: RidgeSource, options?: AddRidgeFileOptions): Promise<void> {
        emitNotice((await startAdding(this.#native, source, options, this.width)).notice);
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
    async path(
        options: RidgeFitOptions & RidgeWatch & { lambdas: readonly number[] | Float64Array },
    ): Promise<RidgeSolution[]> {
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

    async #solve(lambda: unknown, options: RidgeFitOptions & RidgeWatch, list: boolean): Promise<RidgeSolution[]> {
        const settings = nativeFitOptions(lambda, options, list);
        const start = () => this.#native.solve(settings, options.onProgress);
        const { solutions, notice } = await runTask(start, options.signal);
        emitNotice(notice);
        return solutions;
    }
}
