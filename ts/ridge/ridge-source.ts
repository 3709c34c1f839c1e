import { Activations } from "../activations.js";
import { CaptureFile, checkRange } from "../capture-file.js";
import { checkLayer, checkObject, describe } from "../check.js";
import { selectLayers } from "../layers.js";
import type { NativeRidgeAccumulator, NativeRidgeResult } from "../native.js";
import { holdRows } from "../row-readers.js";
import { runTask } from "../run-task.js";
import { SteerError } from "../steer-error.js";
import { nativeRows, type RidgeRows } from "./ridge-rows.js";

/** How what takes long is watched and ended. */
export interface RidgeWatch {
    signal?: AbortSignal;
    /** Called with the fraction of the work done. */
    onProgress?: (fraction: number) => void;
}

/** What captured rows are fitted to. */
export interface AddRidgeRowsOptions extends RidgeWatch {
    /** The layer whose rows are the features. */
    layer: number;
    /** [rows][k] */
    targets: Float32Array | Float64Array;
    /** [rows], 0 or more: 0 leaves a row out. Default 1. */
    weights?: Float32Array | Float64Array;
}

/** `targets` and `weights` have an entry for each row from `from` to `to`, such as a function of the file's labels. */
export interface AddRidgeFileOptions extends AddRidgeRowsOptions {
    /** The first row of the file to add. Default 0. */
    from?: number;
    /** The row after the last. Default: all rows. */
    to?: number;
}

/** What an accumulator takes in. */
export type RidgeSource = (RidgeRows & RidgeWatch) | Activations | CaptureFile;

/** Checks what is to be added and has it summed up. */
export async function startAdding(
    native: NativeRidgeAccumulator,
    source: RidgeSource,
    options: AddRidgeFileOptions | undefined,
    width: number,
): Promise<NativeRidgeResult> {
    if (source instanceof CaptureFile) {
        return addFile(native, source, given(options), width);
    }
    if (source instanceof Activations) {
        return addActivations(native, source, given(options), width);
    }
    const rows = nativeRows(source);
    return runTask(() => native.add(rows, source.onProgress), source.signal);
}

function given(options: AddRidgeFileOptions | undefined): AddRidgeFileOptions {
    checkObject(options, "options");
    return options as AddRidgeFileOptions;
}

function addActivations(
    native: NativeRidgeAccumulator,
    activations: Activations,
    options: AddRidgeFileOptions,
    width: number,
): Promise<NativeRidgeResult> {
    const { layer, targets, weights, signal, onProgress, from, to } = options;
    if (from !== undefined || to !== undefined) {
        throw new SteerError("INVALID_ARGUMENT", "from and to are for capture files: give other rows the weight 0");
    }
    slotOf(activations, layer, width);
    const settings = {
        features: activations.raw(layer),
        rows: activations.rowCount(layer),
        width,
        stride: width,
        targets,
        weights,
    };
    const adding = runTask(() => native.add(settings, onProgress), signal);
    holdRows(activations, adding);
    return adding;
}

function addFile(
    native: NativeRidgeAccumulator,
    file: CaptureFile,
    options: AddRidgeFileOptions,
    width: number,
): Promise<NativeRidgeResult> {
    const { layer, targets, weights, signal, onProgress, from = 0, to = file.rows } = options;
    checkRange(from, to, file.rows);
    const settings = { slot: slotOf(file, layer, width), from, count: to - from, targets, weights };
    return runTask(() => native.addFile(CaptureFile.nativeOf(file), settings, onProgress), signal);
}

/** Which of the source's layers `layer` is. */
function slotOf(source: { layers: readonly number[]; width: number }, layer: number, width: number): number {
    if (source.width !== width) {
        throw new SteerError(
            "WIDTH_MISMATCH",
            `rows of width ${describe(source.width)} do not fit an accumulator of width ${width}`,
        );
    }
    checkLayer(layer, "layer");
    return source.layers.indexOf(selectLayers(layer, source.layers)[0] as number);
}
