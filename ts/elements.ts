import type { RowType } from "./activations.js";
import { describe } from "./check.js";
import { SteerError } from "./steer-error.js";

/**
 * The caller's array, cut to `count` elements, or whole where no count is asked for. A detached one is left for the native
 * side to refuse.
 *
 * @throws SteerError INVALID_ARGUMENT, BUFFER_TOO_SMALL
 */
export function beginOfElements(into: unknown, type: "f32", count: number | undefined): Float32Array;
export function beginOfElements(into: unknown, type: RowType, count: number | undefined): Float32Array | Uint16Array;
export function beginOfElements(into: unknown, type: RowType, count: number | undefined): Float32Array | Uint16Array {
    const expected = type === "f32" ? Float32Array : Uint16Array;
    if (!(into instanceof expected)) {
        throw new SteerError(
            "INVALID_ARGUMENT",
            `into must be a ${expected.name} for rows of type "${type}", not ${describe(into)}`,
        );
    }
    if (count !== undefined && into.length < count && into.buffer.byteLength > 0) {
        throw new SteerError("BUFFER_TOO_SMALL", `into holds ${into.length} elements; these rows take ${count}`);
    }
    return count !== undefined && into.length > count ? into.subarray(0, count) : into;
}

/** Shared memory: it cannot be detached while a native thread writes to it, and other threads can read it. */
export function sharedElements(type: "f32", count: number): Float32Array;
export function sharedElements(type: RowType, count: number): Float32Array | Uint16Array;
export function sharedElements(type: RowType, count: number): Float32Array | Uint16Array {
    const bytes = count * (type === "f32" ? Float32Array : Uint16Array).BYTES_PER_ELEMENT;
    try {
        const shared = new SharedArrayBuffer(bytes);
        return type === "f32" ? new Float32Array(shared) : new Uint16Array(shared);
    } catch (cause) {
        throw new SteerError(
            "OUT_OF_MEMORY",
            `cannot allocate ${count} elements: take fewer layers or rows at a time`,
            {
                cause,
            },
        );
    }
}
