import { Activations } from "./activations.js";
import { CaptureFile, checkRange } from "./capture-file.js";
import { checkObject, describe } from "./check.js";
import { selectLayers } from "./layers.js";
import type { NativeMoments } from "./native.js";
import { holdRows } from "./row-readers.js";
import { runTask } from "./run-task.js";
import { SteerError } from "./steer-error.js";

export interface AddMomentsOptions {
    /** The group of each row, -1 to leave a row out; or one group for all. Default 0. */
    groups?: Int32Array | number;
    /** The weight of each row: 0, or from 1e-100 to 1e100. Default 1. */
    weights?: Float32Array | Float64Array;
    signal?: AbortSignal;
}

/** `groups` and `weights` have an entry for each row from `from` to `to`, such as a function of the file's labels. */
export interface AddFileMomentsOptions extends AddMomentsOptions {
    /** The first row of the file to add. Default 0. */
    from?: number;
    /** The row after the last. Default: all rows. */
    to?: number;
}

/** Layers to add, and their width. */
interface Target {
    readonly layers: readonly number[];
    readonly width: number;
}

/** Checks what is to be added and has it folded; fulfilled with a notice, once in a process. */
export async function startAdding(
    native: NativeMoments,
    source: Activations | CaptureFile,
    target: Target,
    options: AddFileMomentsOptions,
): Promise<string> {
    checkObject(options, "options");
    if (source instanceof CaptureFile) {
        return addFile(native, source, target, options);
    }
    if (!(source instanceof Activations)) {
        throw new SteerError(
            "INVALID_ARGUMENT",
            `what is added must be Activations or a CaptureFile, not ${describe(source)}`,
        );
    }
    if (options.from !== undefined || options.to !== undefined) {
        throw new SteerError("INVALID_ARGUMENT", "from and to are for capture files: give other rows the group -1");
    }
    return addActivations(native, source, target, options);
}

function addActivations(
    native: NativeMoments,
    activations: Activations,
    target: Target,
    options: AddMomentsOptions,
): Promise<string> {
    const { groups = 0, weights, signal } = options;
    const settings = {
        slots: slotsOf(activations, target),
        capacity: activations.capacity,
        rows: commonRowCount(activations, target.layers),
        groups,
        weights,
    };
    const adding = runTask(() => native.add(activations.data, settings), signal);
    holdRows(activations, adding);
    return adding;
}

function addFile(
    native: NativeMoments,
    file: CaptureFile,
    target: Target,
    options: AddFileMomentsOptions,
): Promise<string> {
    const { groups = 0, weights, signal, from = 0, to = file.rows } = options;
    checkRange(from, to, file.rows);
    const settings = { slots: slotsOf(file, target), from, count: to - from, groups, weights };
    return runTask(() => native.addFile(CaptureFile.nativeOf(file), settings), signal);
}

/** Which of the source's layers each layer of the target is. */
function slotsOf(source: Target, target: Target): Int32Array {
    if (source.width !== target.width) {
        throw new SteerError(
            "WIDTH_MISMATCH",
            `rows of width ${describe(source.width)} do not fit moments of width ${target.width}`,
        );
    }
    return Int32Array.from(selectLayers(target.layers, source.layers), (layer) => source.layers.indexOf(layer));
}

function commonRowCount(activations: Activations, layers: readonly number[]): number {
    const counts = new Set(layers.map((layer) => activations.rowCount(layer)));
    if (counts.size !== 1) {
        throw new SteerError(
            "INVALID_ARGUMENT",
            `layers hold different numbers of rows (${[...counts].join(" and ")}): capture chosen rows, or keep moments ` +
                "of the last layer by themselves",
        );
    }
    return [...counts][0] as number;
}
