import { checkObject } from "../check.js";
import type { NativeRidgeRows } from "../native.js";

/** Rows to fit. */
export interface RidgeRows {
    /**
     * [rows][width], or with `stride` numbers from one row to the next: floats, or the bits of half floats. What lies in
     * shared memory, as captures do by default, is read where it is and must not change before the promise settles;
     * what lies on an ArrayBuffer is copied first.
     */
    features: Float32Array | Uint16Array;
    /** Number of rows. */
    rows: number;
    /** Features of a row: d. */
    width: number;
    /** Numbers from one row to the next. Default `width`. */
    stride?: number;
    /** [rows][k]: their number says what k is. */
    targets: Float32Array | Float64Array;
    /** [rows], 0 or more: 0 leaves a row out. Default 1. */
    weights?: Float32Array | Float64Array;
}

/** @throws SteerError INVALID_ARGUMENT */
export function nativeRows(options: RidgeRows): NativeRidgeRows {
    checkObject(options, "options");
    const { features, rows, width, stride = width, targets, weights } = options;
    return { features, rows, width, stride, targets, weights };
}
